//! What a configuration consists of, and what tells two parts of one name apart.

use crate::{config::Loaded, plan::Origin};
use serde_json::Value as Json;
use std::{collections::BTreeMap, fmt, path::PathBuf};

/// Sections whose keys are names.
const NAMED: [&str; 8] = ["listeners", "stores", "upstreams", "sessions", "budgets", "chains", "commands", "events"];
const ROUTES: &str = "routes";

/// What the files hold that a configuration names, by their paths as they are written there.
pub type Files = BTreeMap<PathBuf, Origin>;

/// A named part of a configuration, or a section that has no names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    section: String,
    name: Option<String>,
}

impl Part {
    /// The part of this name.
    #[must_use]
    pub fn named(section: &str, name: &str) -> Self {
        Self { section: section.to_owned(), name: Some(name.to_owned()) }
    }

    fn whole(section: &str) -> Self {
        Self { section: section.to_owned(), name: None }
    }

    /// The section that it is in.
    #[must_use]
    pub fn section(&self) -> &str {
        &self.section
    }

    /// Its name there.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.section)?;
        self.name.as_ref().map_or(Ok(()), |name| write!(f, ".{name}"))
    }
}

/// The digests of the files that a configuration names, as they are on the disk now.
#[must_use]
pub fn files(loaded: &Loaded) -> Files {
    let none: [&[u8]; 0] = [];
    let content = |path: &PathBuf| {
        std::fs::read(loaded.resolve(path)).map_or_else(|_| Origin::new(&(), &none), |held| Origin::new(&(), &[held]))
    };
    loaded.files().into_iter().map(|path| (path.clone(), content(&path))).collect()
}

/// The parts of a tree that was written from a configuration.
pub(super) fn parts(json: Json) -> BTreeMap<Part, Json> {
    let mut parts = BTreeMap::new();
    let Json::Object(sections) = json else { return parts };
    for (section, value) in sections {
        match value {
            Json::Object(named) if NAMED.contains(&section.as_str()) => {
                parts.extend(named.into_iter().map(|(name, value)| (Part::named(&section, &name), value)));
            }
            Json::Array(routes) if section == ROUTES => {
                let named = |route: Json| Some((Part::named(ROUTES, route.get("name")?.as_str()?), route));
                parts.extend(routes.into_iter().filter_map(named));
            }
            value => {
                parts.insert(Part::whole(&section), value);
            }
        }
    }
    parts
}

/// What a configuration consists of.
pub struct Contents {
    parts: BTreeMap<Part, Json>,
    files: BTreeMap<String, Origin>,
}

impl Contents {
    /// Of a configuration whose files hold this.
    #[must_use]
    pub fn new(loaded: &Loaded, files: &Files) -> Self {
        let files = files.iter().map(|(path, origin)| (path.display().to_string(), *origin));
        Self { parts: parts(serde_json::to_value(&loaded.config).unwrap_or_default()), files: files.collect() }
    }

    pub(super) fn parts(&self) -> impl Iterator<Item = &Part> {
        self.parts.keys()
    }

    pub(super) fn get(&self, part: &Part) -> Option<&Json> {
        self.parts.get(part)
    }

    /// What tells a part from others of its name: what is written, and what the files hold that it names.
    pub(super) fn origin(&self, part: &Part) -> Option<Origin> {
        self.get(part).map(|written| self.origin_of(written))
    }

    pub(super) fn origin_of(&self, written: &Json) -> Origin {
        let mut held = Vec::new();
        self.held(written, &mut held);
        Origin::new(written, &held)
    }

    /// What a file holds, where the text is its path.
    pub(super) fn content(&self, text: &str) -> Option<Origin> {
        self.files.get(text).copied()
    }

    fn held(&self, written: &Json, into: &mut Vec<Origin>) {
        match written {
            Json::String(text) => into.extend(self.content(text)),
            Json::Array(items) => items.iter().for_each(|item| self.held(item, into)),
            Json::Object(entries) => entries.values().for_each(|entry| self.held(entry, into)),
            Json::Null | Json::Bool(_) | Json::Number(_) => {}
        }
    }
}
