//! What hangs on what.

use super::contents::Part;
use crate::config::{Config, Expanded, source::Route};
use filters::api::{Named, Reference};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The parts that a route is built on.
#[derive(Debug, Default)]
pub struct Uses<'a> {
    /// Those that a stream on it hangs on as long as it is open.
    pub streams: BTreeSet<Part<'a>>,
    /// Those that only its requests use.
    pub requests: BTreeSet<Part<'a>>,
}

impl<'a> Uses<'a> {
    /// Of a route of this configuration.
    #[must_use]
    pub fn of(config: &'a Config, route: &'a Route) -> Self {
        Self::expanded(config, route, &Expanded::of(config, &route.chain).unwrap_or_default())
    }

    /// The same, where the route's chain is expanded already.
    pub(super) fn expanded(config: &'a Config, route: &'a Route, chain: &Expanded<'a>) -> Self {
        let mut streams = Collected { config, parts: BTreeSet::new() };
        chain.chains.iter().for_each(|name| streams.add("chains", Some(name)));
        let references = chain.filters.iter().flat_map(|placed| placed.filter.references());
        references.for_each(|reference| streams.reference(&reference));
        streams.add("upstreams", route.upstream());
        streams.add("events", route.event_source());
        let mut requests = Collected { config, parts: BTreeSet::new() };
        requests.add("commands", route.commands.as_deref());
        let commands = route.commands.as_ref().and_then(|name| config.commands.get(name));
        requests.add("upstreams", commands.map(|commands| commands.upstream.as_str()));
        Self { streams: streams.parts, requests: requests.parts }
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
    pub(super) fn on(&self, part: &Part<'_>) -> BTreeSet<Part<'a>> {
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

struct Collected<'a> {
    config: &'a Config,
    parts: BTreeSet<Part<'a>>,
}

impl<'a> Collected<'a> {
    fn add(&mut self, section: &'static str, name: Option<&'a str>) {
        self.parts.extend(name.map(|name| Part::named(section, name)));
    }

    /// The name is not the configuration's own: what it names is.
    fn reference(&mut self, reference: &Reference) {
        let config = self.config;
        match reference.kind {
            Named::Store => self.add("stores", key(&config.stores, &reference.name)),
            Named::Sessions => {
                let Some((name, sessions)) = config.sessions.get_key_value(&reference.name) else { return };
                self.add("sessions", Some(name));
                self.add("upstreams", Some(&sessions.upstream));
            }
            Named::Budget => {
                let Some((name, budget)) = config.budgets.get_key_value(&reference.name) else { return };
                self.add("budgets", Some(name));
                if !budget.shared.is_empty() {
                    // Left out, it is the only one.
                    let store = budget.store.as_ref().or_else(|| config.stores.keys().next());
                    self.add("stores", store.map(String::as_str));
                }
            }
        }
    }
}

fn key<'a, T>(named: &'a BTreeMap<String, T>, name: &str) -> Option<&'a str> {
    named.get_key_value(name).map(|(name, _)| name.as_str())
}
