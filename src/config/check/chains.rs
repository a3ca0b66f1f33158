use super::{
    super::{
        nearest::remedy,
        placed::{ENTRIES_MAX, Expanded, NESTING_MAX, Placed, Unplaced},
        problem::Severity,
        tree::join,
    },
    Checks,
};
use filters::{
    api::{Named, Reference},
    order,
    table::{ChainEntry, FilterConfig, NAMES},
};
use std::{collections::BTreeMap, fmt::Arguments};

impl<'a> Checks<'a> {
    pub(super) fn chains(&mut self) {
        let config = self.config;
        for (name, entries) in &config.chains {
            let pointer = join("/chains", name);
            if NAMES.contains(&name.as_str()) {
                let what = format!("the chain `{name}` has the name of a filter");
                self.error(&pointer, what, "give it a name of its own");
            }
            self.entries(&pointer, entries);
        }
        for (index, route) in config.routes.iter().enumerate() {
            self.entries(&format!("/routes/{index}/chain"), &route.chain);
        }
        let mut heights = BTreeMap::new();
        for name in config.chains.keys() {
            self.height(name, &mut Vec::new(), &mut heights);
        }
    }

    fn entries(&mut self, pointer: &str, entries: &[ChainEntry]) {
        for (index, entry) in entries.iter().enumerate() {
            let name = match entry {
                ChainEntry::Filter(filter) => {
                    self.filter(format_args!("{pointer}/{index}/{}", filter.name()), filter);
                    continue;
                }
                ChainEntry::Name(name) => name,
            };
            if let Some(filter) = FilterConfig::bare(name) {
                self.filter(format_args!("{pointer}/{index}"), filter);
            } else if NAMES.contains(&name.as_str()) {
                let what = format!("the filter «{name}» has to be configured");
                let remedy = format!("write `{{ {name}: … }}`; `portcullis schema` shows what it takes");
                self.error(format_args!("{pointer}/{index}"), what, remedy);
            } else if !self.config.chains.contains_key(name) {
                let chains = self.config.chains.keys().map(String::as_str);
                let remedy = remedy(name, "filters and chains", NAMES.iter().copied().chain(chains));
                self.error(format_args!("{pointer}/{index}"), format!("there is no filter or chain «{name}»"), remedy);
            }
        }
    }

    fn filter(&mut self, pointer: Arguments<'_>, filter: &FilterConfig) {
        let config = self.config;
        for reference in filter.references() {
            let Reference { kind, name, pointer: inside } = &reference;
            let at = || format!("{pointer}{inside}");
            match kind {
                Named::Budget => self.known(at(), "budget", name, &config.budgets),
                Named::Sessions => self.known(at(), "session lookup", name, &config.sessions),
                Named::Store => self.known(at(), "store", name, &config.stores),
            }
        }
        for problem in filter.problems() {
            self.error(format_args!("{pointer}{}", problem.pointer), problem.what, problem.remedy);
        }
    }

    /// How many levels of chains a chain has; says so where they contain each other, or are too many.
    fn height(&mut self, name: &'a str, trail: &mut Vec<&'a str>, heights: &mut BTreeMap<&'a str, usize>) -> usize {
        let Some(entries) = self.config.chains.get(name) else { return 0 };
        if let Some(height) = heights.get(name) {
            return *height;
        }
        trail.push(name);
        let mut height = 1;
        for (index, entry) in entries.iter().enumerate() {
            let ChainEntry::Name(next) = entry else { continue };
            let pointer = join(&join("/chains", name), index);
            if let Some(start) = trail.iter().position(|chain| chain == next) {
                let around = trail.iter().skip(start).copied().chain([next.as_str()]).collect::<Vec<_>>().join(" → ");
                self.error(&pointer, format!("these chains contain each other: {around}"), "take one of them out");
                continue;
            }
            let is_too_deep = trail.len() >= NESTING_MAX || self.height(next, trail, heights) >= NESTING_MAX;
            if is_too_deep {
                let what = format!("chains are nested more than {NESTING_MAX} deep");
                self.error(&pointer, what, "write the filters out");
            } else {
                height = height.max(1 + heights.get(next.as_str()).copied().unwrap_or(0));
            }
        }
        trail.pop();
        heights.insert(name, height);
        height
    }

    /// The filters of a route in their order, with the chains in it put in their place; nothing where a name
    /// leads nowhere, which is a problem of its own.
    pub(super) fn expanded(&mut self, route: usize, entries: &'a [ChainEntry]) -> Option<Vec<Placed<'a>>> {
        match Expanded::of(self.config, entries) {
            Ok(expanded) => Some(expanded.filters),
            Err(Unplaced::Nowhere(_)) => None,
            Err(Unplaced::TooMany) => {
                let what = format!("the chain of this route comes to more than {ENTRIES_MAX} entries");
                self.error(format_args!("/routes/{route}/chain"), what, "name each chain once");
                None
            }
        }
    }

    /// Whether the filters of a route stand in an order that works.
    pub(super) fn order(&mut self, route: usize, placed: &[Placed<'_>]) {
        let chain: Vec<&FilterConfig> = placed.iter().map(|placed| placed.filter).collect();
        for found in order::problems(&chain, &self.config.budgets) {
            self.in_chain(Severity::Error, route, placed, found);
        }
        let mut stores = self.config.stores.keys();
        let only_store = stores.next().filter(|_| stores.next().is_none());
        for found in order::costs(&chain, &self.config.budgets, only_store.map(String::as_str)) {
            self.in_chain(Severity::Warning, route, placed, found);
        }
    }

    fn in_chain(&mut self, severity: Severity, route: usize, placed: &[Placed<'_>], found: order::ChainProblem) {
        let order::ChainProblem { index, problem } = found;
        let Some(placed) = placed.get(index) else { return };
        let pointer = placed.pointer(route);
        let inside = join(&pointer, placed.filter.name());
        // A filter without configuration is only a name, and has no inside.
        let base = if self.tree.find(&inside).is_whole { inside } else { pointer };
        self.add(severity, &format_args!("{base}{}", problem.pointer), &problem.what, &problem.remedy);
    }
}
