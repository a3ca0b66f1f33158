//! What differs between two configurations, and what that means to a gateway that runs the first.

mod contents;
mod fixed;
mod keys;
mod origins;
mod text;
mod uses;

pub use contents::{Files, Part, files};
pub use fixed::fixed;
pub use keys::KeyChange;
pub use origins::Origins;
pub use uses::Uses;

use super::Plan;
use crate::config::Loaded;
use contents::{Contents, parts};
use keys::{Seen, compare};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use uses::Built;

/// What happened to a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// It is new.
    Added,
    /// It is another.
    Changed,
    /// It is gone.
    Removed,
}

/// What a change means to a gateway that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Takes {
    /// The next request meets it.
    AtOnce,
    /// The same, and what it has counted or kept goes on.
    KeepsState,
    /// The same, and what it has counted or kept is gone: connections, what was spent, what was remembered.
    BeginsAnew,
    /// It ends with the requests that use it.
    Ends,
    /// A running process cannot take it up.
    NeedsUpgrade,
}

/// What of a gateway that runs hangs on a part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hanging {
    /// Requests in flight, which end as they began.
    pub requests: usize,
    /// Streams that are not touched: what they hang on stays the same.
    pub untouched: usize,
    /// Streams that are kept.
    pub kept: usize,
    /// Streams that are ended one after the other.
    pub drained: usize,
    /// Streams that are ended at once.
    pub cut: usize,
}

impl Hanging {
    /// The streams that would end.
    #[must_use]
    pub fn ended(&self) -> usize {
        self.drained + self.cut
    }

    /// The streams.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.untouched + self.kept + self.ended()
    }
}

/// A part that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Which: `upstreams.backend`.
    pub part: String,
    /// What happened to it.
    pub what: What,
    /// What that means.
    pub takes: Takes,
    /// In what it differs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeyChange>,
    /// The parts that it is built on and that differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub built_on: Vec<String>,
    /// What hangs on it, where a gateway was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hanging: Option<Hanging>,
}

/// Every part that differs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Changes(pub Vec<Change>);

/// A configuration with what its files hold.
pub struct Side<'a> {
    loaded: &'a Loaded,
    contents: Contents,
}

impl<'a> Side<'a> {
    /// With what the files hold now.
    #[must_use]
    pub fn now(loaded: &'a Loaded) -> Self {
        Self { loaded, contents: Contents::new(loaded, files(loaded)) }
    }
}

impl<'a> From<&'a Plan> for Side<'a> {
    fn from(plan: &'a Plan) -> Self {
        Self { loaded: &plan.loaded, contents: Contents::new(&plan.loaded, plan.files.clone()) }
    }
}

impl Changes {
    /// From one configuration to another.
    #[must_use]
    pub fn between(before: &Side<'_>, after: &Side<'_>) -> Self {
        let fixed = fixed(&before.loaded.config, &after.loaded.config);
        let shown = (before.loaded.shown(), after.loaded.shown());
        let (shown_before, shown_after) = (parts(&shown.0), parts(&shown.1));
        let (parts_before, parts_after) = (parts(&before.contents.json), parts(&after.contents.json));
        let mut keys = BTreeMap::new();
        let all: BTreeSet<Part<'_>> = parts_before.keys().chain(parts_after.keys()).copied().collect();
        for part in &all {
            let (is, shown) = (parts_before.get(part).copied(), shown_before.get(part).copied());
            let old = Seen { contents: &before.contents, is, shown };
            let (is, shown) = (parts_after.get(part).copied(), shown_after.get(part).copied());
            let new = Seen { contents: &after.contents, is, shown };
            let mut differing = Vec::new();
            if old.is.is_some() && new.is.is_some() {
                compare("", old, new, &mut differing);
            }
            if !differing.is_empty() || old.is.is_some() != new.is.is_some() {
                keys.insert(*part, differing);
            }
        }
        let built = Built::of(&after.loaded.config);
        let differs: BTreeSet<Part<'_>> = keys.keys().copied().collect();
        let change = |part: Part<'_>| {
            let what = match (parts_before.get(&part), parts_after.get(&part)) {
                (None, _) => What::Added,
                (_, None) => What::Removed,
                _ => What::Changed,
            };
            let built_on: Vec<String> = match what {
                What::Changed => {
                    built.on(&part).iter().filter(|part| differs.contains(part)).map(Part::to_string).collect()
                }
                What::Added | What::Removed => Vec::new(),
            };
            let keys = keys.get(&part).cloned().unwrap_or_default();
            if what == What::Changed && keys.is_empty() && built_on.is_empty() {
                return None;
            }
            let takes = takes(&part, what, &keys, !built_on.is_empty(), &fixed);
            Some(Change { part: part.to_string(), what, takes, keys, built_on, hanging: None })
        };
        Self(all.into_iter().filter_map(change).collect())
    }

    /// What a running process cannot take up of it.
    pub fn need_upgrade(&self) -> impl Iterator<Item = &Change> {
        self.0.iter().filter(|change| change.takes == Takes::NeedsUpgrade)
    }
}

fn takes(part: &Part<'_>, what: What, keys: &[KeyChange], is_rebuilt: bool, fixed: &[String]) -> Takes {
    let name = part.to_string();
    let is_within =
        |place: &String| place.strip_prefix(&name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    let spends_anew = |key: &KeyChange| !matches!(key.key.as_str(), "mode" | "on_store_error");
    let is_another_feed = |key: &KeyChange| {
        let key = key.key.strip_prefix("feed.").unwrap_or_default();
        key == "grpc" || key == "gateway_client_id" || key.starts_with("tls")
    };
    match (what, part.section()) {
        _ if fixed.iter().any(is_within) => Takes::NeedsUpgrade,
        (What::Added, _) => Takes::AtOnce,
        (What::Removed, _) => Takes::Ends,
        (What::Changed, "events") if !keys.iter().any(is_another_feed) => Takes::KeepsState,
        (What::Changed, "upstreams" | "stores" | "sessions" | "events") => Takes::BeginsAnew,
        (What::Changed, "budgets") if keys.iter().any(spends_anew) || is_rebuilt => Takes::BeginsAnew,
        (What::Changed, "budgets") => Takes::KeepsState,
        (What::Changed, _) => Takes::AtOnce,
    }
}

#[cfg(test)]
mod tests;
