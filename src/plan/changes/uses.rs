//! What hangs on what.

use super::contents::{Contents, Part};
use crate::{
    config::{Config, source::Route},
    plan::Origin,
};
use filters::{
    api::{Named, Reference},
    table::{ChainEntry, FilterConfig},
};
use serde_json::Value as Json;
use std::collections::{BTreeSet, HashMap};

/// Chains that are deeper are refused when the configuration is checked.
const DEPTH_MAX: usize = 64;
/// What of a route says nothing of its streams: what it is called, and what its requests do beside them.
const BESIDE: [&str; 3] = ["name", "commands", "cost"];

/// The parts that a route is built on.
#[derive(Debug, Default)]
pub struct Uses {
    /// Those that a stream on it hangs on as long as it is open.
    pub streams: BTreeSet<Part>,
    /// Those that only its requests use.
    pub requests: BTreeSet<Part>,
}

impl Uses {
    /// Of a route of this configuration.
    #[must_use]
    pub fn of(config: &Config, route: &Route) -> Self {
        let mut streams = Collected { config, parts: BTreeSet::new() };
        streams.chain(&route.chain, 0);
        let upstream = route.forward.as_ref().map(|forward| forward.upstream());
        let upstream = upstream.or_else(|| route.rpc.as_ref().map(|rpc| rpc.upstream.as_str()));
        streams.add("upstreams", upstream);
        streams.add("events", route.event_source());
        let mut requests = Collected { config, parts: BTreeSet::new() };
        requests.add("commands", route.commands.as_deref());
        let commands = route.commands.as_ref().and_then(|name| config.commands.get(name));
        requests.add("upstreams", commands.map(|commands| commands.upstream.as_str()));
        Self { streams: streams.parts, requests: requests.parts }
    }

    /// Whether a part is among them.
    #[must_use]
    pub fn have(&self, part: &Part) -> bool {
        self.streams.contains(part) || self.requests.contains(part)
    }
}

/// What the parts of a configuration are built on.
pub(super) struct Built<'a> {
    config: &'a Config,
    routes: HashMap<&'a str, &'a Route>,
}

impl<'a> Built<'a> {
    pub(super) fn of(config: &'a Config) -> Self {
        Self { config, routes: config.routes.iter().map(|route| (route.name.as_str(), route)).collect() }
    }

    /// The parts that this one cannot outlive.
    pub(super) fn on(&self, part: &Part) -> BTreeSet<Part> {
        match (part.section(), part.name()) {
            ("routes", Some(name)) => {
                self.routes.get(name).map(|route| Uses::of(self.config, route).streams).unwrap_or_default()
            }
            ("sessions", Some(name)) => {
                let sessions = self.config.sessions.get(name);
                sessions.map(|sessions| Part::named("upstreams", &sessions.upstream)).into_iter().collect()
            }
            _ => BTreeSet::new(),
        }
    }
}

/// What tells a route from others, to a stream that hangs on it.
#[must_use]
pub fn origin(config: &Config, contents: &Contents, route: &Route) -> Origin {
    let mut written = contents.get(&Part::named("routes", &route.name)).cloned().unwrap_or_default();
    if let Json::Object(entries) = &mut written {
        entries.retain(|key, _| !BESIDE.contains(&key.as_str()));
    }
    let built_on: Vec<Origin> =
        Uses::of(config, route).streams.iter().filter_map(|part| contents.origin(part)).collect();
    let own = contents.origin_of(&written);
    Origin::new(&(), &[&[own][..], &built_on].concat())
}

struct Collected<'a> {
    config: &'a Config,
    parts: BTreeSet<Part>,
}

impl Collected<'_> {
    fn add(&mut self, section: &str, name: Option<&str>) {
        self.parts.extend(name.map(|name| Part::named(section, name)));
    }

    fn chain(&mut self, entries: &[ChainEntry], depth: usize) {
        for entry in entries {
            match entry {
                ChainEntry::Filter(filter) => {
                    filter.references().iter().for_each(|reference| self.reference(reference));
                }
                ChainEntry::Name(name) if FilterConfig::bare(name).is_none() && depth < DEPTH_MAX => {
                    if let Some(entries) = self.config.chains.get(name) {
                        self.add("chains", Some(name));
                        self.chain(entries, depth + 1);
                    }
                }
                ChainEntry::Name(_) => {}
            }
        }
    }

    fn reference(&mut self, reference: &Reference) {
        let (config, name) = (self.config, reference.name.as_str());
        match reference.kind {
            Named::Store => self.add("stores", Some(name)),
            Named::Sessions => {
                self.add("sessions", Some(name));
                self.add("upstreams", config.sessions.get(name).map(|sessions| sessions.upstream.as_str()));
            }
            Named::Budget => {
                self.add("budgets", Some(name));
                let budget = config.budgets.get(name).filter(|budget| !budget.shared.is_empty());
                // Left out, it is the only one.
                let store = budget.map(|budget| budget.store.as_ref().or_else(|| config.stores.keys().next()));
                self.add("stores", store.flatten().map(String::as_str));
            }
        }
    }
}
