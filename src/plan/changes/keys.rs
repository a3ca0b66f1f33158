//! In which keys two parts of one name differ.

use super::contents::Contents;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::collections::BTreeSet;

/// A key that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyChange {
    /// Where in its part, with dots.
    pub key: String,
    /// What it was, fit to be shown; none where it was not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<Json>,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<Json>,
    /// Whether it is the content of a file that differs, and not its path.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_content: bool,
}

/// A part on one side: as it is, and as it may be shown.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) contents: &'a Contents,
    pub(super) is: Option<&'a Json>,
    pub(super) shown: Option<&'a Json>,
}

impl<'a> Seen<'a> {
    fn at(self, key: &str) -> Self {
        let at = |json: Option<&'a Json>| json.and_then(|json| json.get(key));
        // What is not given is null on one side of a comparison, and nothing on the other.
        Self { is: at(self.is).filter(|value| !value.is_null()), shown: at(self.shown), ..self }
    }

    fn keys(self) -> Option<impl Iterator<Item = &'a String>> {
        Some(self.is?.as_object()?.keys())
    }
}

/// Adds every key below `key` that differs.
pub(super) fn compare(key: &str, before: Seen<'_>, after: Seen<'_>, into: &mut Vec<KeyChange>) {
    if let (Some(keys), Some(others)) = (before.keys(), after.keys()) {
        for below in keys.chain(others).collect::<BTreeSet<_>>() {
            let path = if key.is_empty() { below.clone() } else { format!("{key}.{below}") };
            compare(&path, before.at(below), after.at(below), into);
        }
        return;
    }
    let content = |seen: Seen<'_>| seen.is.and_then(Json::as_str).and_then(|path| seen.contents.content(path));
    let is_content = before.is == after.is && content(before) != content(after);
    if before.is != after.is || is_content {
        let (old, new) = (before.shown.cloned(), after.shown.cloned());
        into.push(KeyChange { key: key.to_owned(), old, new, is_content });
    }
}
