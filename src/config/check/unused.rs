use super::{super::tree::join, Checks};
use filters::{
    api::Named,
    table::{ChainEntry, FilterConfig},
};
use std::collections::BTreeSet;

impl<'a> Checks<'a> {
    /// Warns of what nothing leads to: a budget that is not in any chain protects nobody.
    pub(super) fn unused(&mut self) {
        let config = self.config;
        let chains = self.reached_chains();
        let mut budgets = BTreeSet::new();
        let mut sessions = BTreeSet::new();
        let mut stores: BTreeSet<String> = config.budgets.values().filter_map(|budget| budget.store.clone()).collect();
        // A name may be left out where there is only one.
        if let (1, Some(only)) = (config.stores.len(), config.stores.keys().next()) {
            stores.insert(only.clone());
        }
        let entries = config.chains.values().flatten().chain(config.routes.iter().flat_map(|route| &route.chain));
        for reference in entries.filter_map(filter_of).flat_map(|filter| filter.references()) {
            match reference.kind {
                Named::Budget => budgets.insert(reference.name),
                Named::Sessions => sessions.insert(reference.name),
                Named::Store => stores.insert(reference.name),
            };
        }
        let routes = config.routes.iter().filter_map(|route| route.upstream());
        let lookups = config.sessions.values().map(|sessions| sessions.upstream.as_str());
        let calls = config.commands.values().map(|commands| commands.upstream.as_str());
        let upstreams: BTreeSet<&str> = routes.chain(lookups).chain(calls).collect();
        let commands: BTreeSet<&str> = config.routes.iter().filter_map(|route| route.commands.as_deref()).collect();
        let events: BTreeSet<&str> = config.routes.iter().filter_map(|route| route.event_source()).collect();

        self.warn_unused("/chains", "chain", config.chains.keys(), |name| chains.contains(name));
        self.warn_unused("/budgets", "budget", config.budgets.keys(), |name| budgets.contains(name));
        self.warn_unused("/sessions", "session lookup", config.sessions.keys(), |name| sessions.contains(name));
        self.warn_unused("/stores", "store", config.stores.keys(), |name| stores.contains(name));
        self.warn_unused("/upstreams", "upstream", config.upstreams.keys(), |name| upstreams.contains(name));
        self.warn_unused("/commands", "command set", config.commands.keys(), |name| commands.contains(name));
        self.warn_unused("/events", "event source", config.events.keys(), |name| events.contains(name));
        if let Some(signing) = &config.signing
            && config.routes.iter().all(|route| route.publish.is_none())
        {
            for name in signing.keys.keys().filter(|name| **name != signing.active) {
                let what =
                    format!("nothing uses the signing key «{name}»: it is not active, and no keys are published");
                let remedy = "add a route with `publish: signing_keys`, or remove the key";
                self.warning(join("/signing/keys", name), what, remedy);
            }
        }
        if config.routes.is_empty() {
            let remedy = "add one: `routes: [{ name: all, match: { path: /* }, forward: backend }]`";
            self.warning("", "there are no routes, so every request is refused", remedy);
        }
    }

    fn warn_unused<'n>(
        &mut self,
        pointer: &str,
        kind: &str,
        names: impl Iterator<Item = &'n String>,
        is_used: impl Fn(&str) -> bool,
    ) {
        for name in names.filter(|name| !is_used(name)) {
            let what = format!("nothing uses the {kind} «{name}»");
            self.warning(join(pointer, name), what, "use it or remove it");
        }
    }

    fn reached_chains(&self) -> BTreeSet<&'a str> {
        let mut reached = BTreeSet::new();
        let mut waiting: Vec<&ChainEntry> = self.config.routes.iter().flat_map(|route| &route.chain).collect();
        while let Some(entry) = waiting.pop() {
            let ChainEntry::Name(name) = entry else { continue };
            if let Some((name, entries)) = self.config.chains.get_key_value(name)
                && reached.insert(name.as_str())
            {
                waiting.extend(entries);
            }
        }
        reached
    }
}

fn filter_of(entry: &ChainEntry) -> Option<&FilterConfig> {
    match entry {
        ChainEntry::Filter(filter) => Some(filter),
        ChainEntry::Name(name) => FilterConfig::bare(name),
    }
}
