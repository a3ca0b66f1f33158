//! What a configuration consists of, and what tells two parts of one name apart.

use crate::{
    config::{Loaded, file},
    plan::Origin,
};
use serde_json::Value as Json;
use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

/// Sections whose keys are names.
const NAMED: [&str; 8] = ["listeners", "stores", "upstreams", "sessions", "budgets", "chains", "commands", "events"];
const ROUTES: &str = "routes";

/// What the files hold that a configuration names, by their paths as they are written there.
pub type Files = BTreeMap<PathBuf, Origin>;

/// A named part of a configuration, or a section that has no names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part<'a> {
    section: &'a str,
    name: Option<&'a str>,
}

impl<'a> Part<'a> {
    /// The part of this name.
    #[must_use]
    pub fn named(section: &'a str, name: &'a str) -> Self {
        Self { section, name: Some(name) }
    }

    fn whole(section: &'a str) -> Self {
        Self { section, name: None }
    }

    /// The section that it is in.
    #[must_use]
    pub fn section(&self) -> &'a str {
        self.section
    }

    /// Its name there.
    #[must_use]
    pub fn name(&self) -> Option<&'a str> {
        self.name
    }
}

impl fmt::Display for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.section)?;
        self.name.as_ref().map_or(Ok(()), |name| write!(f, ".{name}"))
    }
}

/// The digests of the files that a configuration names, as they are on the disk now.
#[must_use]
pub fn files(loaded: &Loaded) -> Files {
    let none: [&[u8]; 0] = [];
    let content = |path: &PathBuf| {
        file::read(&loaded.resolve(path), file::BYTES_MAX)
            .map_or_else(|_| Origin::new(&(), &none), |held| Origin::new(&(), &[held]))
    };
    loaded.files().into_iter().map(|path| (path.clone(), content(&path))).collect()
}

/// The parts of a tree that was written from a configuration.
pub(super) fn parts(json: &Json) -> BTreeMap<Part<'_>, &Json> {
    let mut parts = BTreeMap::new();
    for (section, value) in json.as_object().into_iter().flatten() {
        match value {
            Json::Object(named) if NAMED.contains(&section.as_str()) => {
                parts.extend(named.iter().map(|(name, value)| (Part::named(section, name), value)));
            }
            Json::Array(routes) if section == ROUTES => {
                let named = routes.iter().filter_map(|route| Some((route.get("name")?.as_str()?, route)));
                parts.extend(named.map(|(name, route)| (Part::named(ROUTES, name), route)));
            }
            value => {
                parts.insert(Part::whole(section), value);
            }
        }
    }
    parts
}

/// What a configuration consists of.
pub(super) struct Contents {
    /// It, as a tree.
    pub(super) json: Json,
    files: Files,
}

impl Contents {
    /// Of a configuration whose files hold this.
    pub(super) fn new(loaded: &Loaded, files: Files) -> Self {
        Self { json: serde_json::to_value(&loaded.config).unwrap_or_default(), files }
    }

    /// What a file holds, where the text is its path.
    pub(super) fn content(&self, text: &str) -> Option<Origin> {
        self.files.get(Path::new(text)).copied()
    }
}
