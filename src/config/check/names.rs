use super::{super::tree::join, Checks};
use std::fmt::Arguments;

/// Names become labels of metrics and keys of logs, which have to stay short and plain.
const NAME_MAX: usize = 64;

impl Checks<'_> {
    pub(super) fn names(&mut self) {
        let config = self.config;
        self.section("/listeners", "listener", config.listeners.keys());
        self.section("/stores", "store", config.stores.keys());
        self.section("/upstreams", "upstream", config.upstreams.keys());
        self.section("/sessions", "session lookup", config.sessions.keys());
        self.section("/budgets", "budget", config.budgets.keys());
        self.section("/chains", "chain", config.chains.keys());
        self.section("/commands", "command set", config.commands.keys());
        self.section("/events", "event source", config.events.keys());
        if let Some(signing) = &config.signing {
            self.section("/signing/keys", "key", signing.keys.keys());
        }
        for (index, route) in config.routes.iter().enumerate() {
            self.name(format_args!("/routes/{index}/name"), "route", &route.name);
        }
        self.name(format_args!("/node/id"), "node", &config.node.id);
        self.name(format_args!("/node/via"), "gateway in `Via`", &config.node.via);
    }

    fn section<'a>(&mut self, pointer: &str, kind: &str, names: impl Iterator<Item = &'a String>) {
        for name in names {
            self.name(format_args!("{}", join(pointer, name)), kind, name);
        }
    }

    fn name(&mut self, pointer: Arguments<'_>, kind: &str, name: &str) {
        let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
        if name.is_empty() || name.len() > NAME_MAX || !is_plain {
            let what = format!("«{name}» cannot be the name of this {kind}");
            self.error(pointer, what, format!("write 1 to {NAME_MAX} letters, digits, `-`, `_` or `.`"));
        }
    }
}
