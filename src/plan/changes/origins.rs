//! What tells a route from others, to a stream that hangs on it.

use super::{Files, Part, Uses};
use crate::{
    config::{
        Config, Expanded,
        source::{Forward, Match, PathRules, Publish, Route, Rpc, Sse, WebSocket},
    },
    plan::Origin,
};
use filters::table::ChainEntry;
use serde::Serialize;
use serde_json::Value as Json;
use std::{collections::BTreeMap, path::Path};

/// The origins of a configuration's routes.
pub struct Origins<'a> {
    config: &'a Config,
    files: &'a Files,
    /// What routes are built on. Many routes are on the same, so it is made out once.
    parts: BTreeMap<Part<'a>, Origin>,
}

/// What of a route says something of its streams: not what it is called, nor what its requests do beside them.
#[derive(Serialize)]
struct Hung<'a> {
    r#match: &'a Match,
    path: PathRules,
    chain: &'a [ChainEntry],
    forward: &'a Option<Forward>,
    rpc: &'a Option<Rpc>,
    events: &'a Option<String>,
    websocket: &'a Option<WebSocket>,
    sse: &'a Option<Sse>,
    publish: &'a Option<Publish>,
}

impl<'a> Origins<'a> {
    /// Of a configuration whose files hold this.
    #[must_use]
    pub fn new(config: &'a Config, files: &'a Files) -> Self {
        let mut origins = Self { config, files, parts: BTreeMap::new() };
        origins.add("stores", &config.stores);
        origins.add("upstreams", &config.upstreams);
        origins.add("sessions", &config.sessions);
        origins.add("budgets", &config.budgets);
        origins.add("chains", &config.chains);
        origins.add("events", &config.events);
        origins
    }

    /// Of a route with this chain: what is written of it, what the files hold that it names, and what it is built on.
    #[must_use]
    pub fn of(&self, route: &'a Route, expanded: &Expanded<'a>) -> Origin {
        let Route {
            name: _,
            commands: _,
            cost: _,
            r#match,
            path,
            chain,
            forward,
            rpc,
            events,
            websocket,
            sse,
            publish,
        } = route;
        let written = Hung { r#match, path: *path, chain, forward, rpc, events, websocket, sse, publish };
        let held = rpc.as_ref().and_then(|rpc| self.files.get(&rpc.descriptors));
        let uses = Uses::expanded(self.config, route, expanded);
        let built_on = uses.streams.iter().filter_map(|part| self.parts.get(part));
        Origin::new(&written, &held.into_iter().chain(built_on).collect::<Vec<_>>())
    }

    fn add<T: Serialize>(&mut self, section: &'static str, named: &'a BTreeMap<String, T>) {
        for (name, part) in named {
            let written = serde_json::to_value(part).unwrap_or_default();
            let mut held = Vec::new();
            self.held(&written, &mut held);
            self.parts.insert(Part::named(section, name), Origin::new(&written, &held));
        }
    }

    /// What the files hold whose paths are written somewhere.
    fn held(&self, written: &Json, into: &mut Vec<Origin>) {
        match written {
            Json::String(text) => into.extend(self.files.get(Path::new(text))),
            Json::Array(items) => items.iter().for_each(|item| self.held(item, into)),
            Json::Object(entries) => entries.values().for_each(|entry| self.held(entry, into)),
            Json::Null | Json::Bool(_) | Json::Number(_) => {}
        }
    }
}
