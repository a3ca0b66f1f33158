//! What no type can say: names that lead somewhere, values that make sense, parts that fit together.

mod beside;
mod chains;
mod events;
mod invariants;
mod limits;
mod listeners;
mod names;
mod paths;
mod reach;
mod routes;
mod services;
mod signing;
mod stores;
mod subscriptions;
mod targets;
mod tested;
mod unused;
mod upstreams;

use super::{
    Config,
    expand::Env,
    nearest::remedy,
    problem::{FOUND_MAX, Problem, Severity},
    tree::Node,
};
use std::{collections::BTreeMap, fmt::Display, path::Path};

/// What a configuration may look at beside itself.
pub(super) struct Outside<'a> {
    /// The folder that relative paths are taken from.
    pub(super) base_dir: &'a Path,
    /// The environment.
    pub(super) env: &'a Env<'a>,
    /// Whether secrets and certificates are here to be read.
    pub(super) has_secrets: bool,
}

/// Everything that is wrong with, or odd about, a configuration.
pub(super) fn check(config: &Config, tree: &Node, outside: &Outside<'_>) -> Vec<Problem> {
    let mut checks = Checks { config, tree, outside, problems: Vec::new() };
    checks.names();
    checks.listeners();
    checks.stores();
    checks.upstreams();
    checks.budgets();
    checks.chains();
    checks.routes();
    checks.commands();
    checks.events();
    checks.signing();
    checks.limits();
    checks.access_log();
    checks.tests();
    checks.invariants();
    // A name with a typing error leaves what it means unused, which would be said twice.
    if checks.problems.iter().all(|problem| problem.severity == Severity::Warning) {
        checks.unused();
    }
    checks.problems
}

struct Checks<'a> {
    config: &'a Config,
    tree: &'a Node,
    outside: &'a Outside<'a>,
    problems: Vec<Problem>,
}

impl<'a> Checks<'a> {
    fn error(&mut self, pointer: impl Display, what: impl AsRef<str>, remedy: impl AsRef<str>) {
        self.add(Severity::Error, &pointer, what.as_ref(), remedy.as_ref());
    }

    fn warning(&mut self, pointer: impl Display, what: impl AsRef<str>, remedy: impl AsRef<str>) {
        self.add(Severity::Warning, &pointer, what.as_ref(), remedy.as_ref());
    }

    /// The pointer is written out here and not by whoever checks: of ten thousand routes hardly one has a problem.
    fn add(&mut self, severity: Severity, pointer: &dyn Display, what: &str, remedy: &str) {
        // Half of the room is kept for errors: one that found none for all the warnings would be no error.
        let max = if severity == Severity::Warning { FOUND_MAX / 2 } else { FOUND_MAX };
        if self.problems.len() >= max {
            return;
        }
        let pointer = pointer.to_string();
        let at = self.tree.find(&pointer).at();
        self.problems.push(Problem { severity, ..Problem::error(at, &pointer, what, remedy) });
    }

    /// Says what is wrong with a file or a variable that is named here. What such a message has between backticks is what
    /// the configuration names.
    fn fault(&mut self, pointer: impl Display, fault: &dyn Display, remedy: impl AsRef<str>) {
        let mut what = String::new();
        for (index, part) in fault.to_string().split('`').enumerate() {
            what.push_str(if index == 0 {
                ""
            } else if index % 2 == 1 {
                "«"
            } else {
                "»"
            });
            what.push_str(part);
        }
        self.error(pointer, what, remedy);
    }

    /// A text as it stands in the file.
    fn written(&self, pointer: &str, text: &'a str) -> &'a str {
        let tree: &'a Node = self.tree;
        tree.find(pointer).node.variable().map_or(text, |(written, _)| written)
    }

    /// Whether a value came from the environment, at least in part.
    fn is_from_outside(&self, pointer: impl Display) -> bool {
        self.tree.find(&pointer.to_string()).node.variable().is_some()
    }

    /// The line that a pointer leads to.
    fn line(&self, pointer: &str) -> usize {
        self.tree.find(pointer).at().line
    }

    /// Says so when a name is not among those that there are.
    fn known<T>(&mut self, pointer: impl Display, kind: &str, name: &str, known: &BTreeMap<String, T>) {
        if !known.contains_key(name) && self.problems.len() < FOUND_MAX {
            let remedy = remedy(name, &format!("{kind}s"), known.keys().map(String::as_str));
            self.error(pointer, format!("there is no {kind} «{name}»"), remedy);
        }
    }
}
