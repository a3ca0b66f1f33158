use super::{
    super::{
        nearest::{one_of, quoted},
        placed::Placed,
        source::{PathRules, Route},
        tree::Node,
    },
    Checks,
};
use filters::{api::units::Size, table::FilterConfig};
use std::fmt::{self, Display, Formatter};

/// The service whose calls `commands` answers.
pub(super) const COMMAND_SERVICE: &str = "edge.v1.Gateway";
/// What Pingora 0.9.1 keeps of a body that was read ahead of the proxying, and sends again.
const FORWARD_REPLAY_MAX: u64 = 64 << 10;
/// What a signed request is held to. Without any one of them it could be forged, replayed or altered.
const SIGNED_FILTERS: &[&str] = &["envelope", "session", "payload_hash", "signature", "freshness", "replay"];

impl<'a> Checks<'a> {
    pub(super) fn target(&mut self, pointer: &str, route: &Route) {
        let config = self.config;
        let targets = targets(route);
        match targets.as_slice() {
            [] => {
                let what = format!("the route «{}» has no target", route.name);
                self.error(
                    pointer,
                    what,
                    "add `forward: UPSTREAM`, `rpc: { … }`, `commands: NAME`, `websocket: EVENTS`, `sse: EVENTS` or \
                     `publish: signing_keys`",
                );
            }
            [_] => {}
            [.., last] => {
                let what = format!("the route «{}» has more than one target", route.name);
                self.error(format_args!("{pointer}/{last}"), what, format!("keep {}", one_of(&targets)));
            }
        }
        if let Some(forward) = &route.forward {
            let at = self.short_or(pointer, "forward", "upstream");
            self.cleartext(at, "a forward", forward.upstream());
        }
        if route.forward.is_none() && route.path != PathRules::default() {
            let what = "paths that backends read in different ways are kept on a `forward` alone";
            self.error(format_args!("{pointer}/path"), what, "remove `path`, or serve the route by `forward`");
        }
        if let Some(commands) = &route.commands {
            self.known(format_args!("{pointer}/commands"), "command set", commands, &config.commands);
            if route.r#match.rpc.as_deref() != Some(COMMAND_SERVICE) {
                let remedy = format!("add `rpc: {COMMAND_SERVICE}` to its `match`");
                self.error(
                    format_args!("{pointer}/commands"),
                    "commands are served on their own RPC service only",
                    remedy,
                );
            }
        }
        self.subscriptions(pointer, route);
        if let Some(rpc) = &route.rpc {
            self.rpc(&format!("{pointer}/rpc"), route, rpc);
        }
        let is_one_path = |path: &str| !path.contains(['{', '*']);
        if route.publish.is_some() && !route.r#match.path.as_deref().is_some_and(is_one_path) {
            let remedy = "write `path: /.well-known/jwks.json` in its `match`";
            self.error(format_args!("{pointer}/match/path"), "signing keys are published on one path", remedy);
        }
    }

    pub(super) fn fits_target(&mut self, index: usize, route: &Route, placed: &[Placed<'_>]) {
        let has = |name: &&&str| placed.iter().any(|placed| placed.filter.name() == **name);
        let takes = |target: &'static str| match target {
            "commands" => Some((target, "command")),
            "websocket" | "sse" => Some((target, "subscription")),
            _ => None,
        };
        let targets = targets(route);
        if let Some((target, request)) = targets.iter().copied().find_map(takes) {
            let lacking: Vec<&str> = SIGNED_FILTERS.iter().filter(|name| !has(name)).copied().collect();
            if !lacking.is_empty() {
                let what = format!("the chain of {request}s lacks {}", quoted(&lacking));
                let remedy = format!("a {request} passes {}, in this order", quoted(SIGNED_FILTERS));
                let at = if route.chain.is_empty() { target } else { "chain" };
                self.error(format_args!("/routes/{index}/{at}"), what, remedy);
            }
        } else if let Some(target) = targets.first() {
            let signed: Vec<&str> = SIGNED_FILTERS.iter().filter(has).copied().collect();
            if route.forward.is_some() {
                self.readable(index, placed);
            }
            if route.rpc.is_some() {
                self.unread(index, placed);
            }
            if !signed.is_empty() {
                let what = format!("{} look into a command, which a route with `{target}` has not", quoted(&signed));
                let remedy = "serve `commands` on this route, or take them out of its chain";
                self.error(format_args!("/routes/{index}/chain"), what, remedy);
            }
        }
    }

    /// Where a target's name stands: in its short form it is the whole of it.
    pub(super) fn short_or<'p>(&self, route: &'p str, target: &'p str, key: &'p str) -> ShortOr<'p>
    where
        'a: 'p,
    {
        ShortOr { tree: self.tree, route, target, key }
    }

    /// Messages of an RPC pass one by one, in any codec: there is no body that a filter could read.
    fn unread(&mut self, route: usize, placed: &[Placed<'_>]) {
        for placed in placed {
            let at = match placed.filter {
                FilterConfig::body(body) if body.json => format!("{}/body/json", placed.pointer(route)),
                _ => continue,
            };
            let remedy = "take `json` out of the chain; messages are held to the service's descriptors";
            self.error(&at, "the messages of an `rpc` are not read by filters", remedy);
        }
    }

    fn readable(&mut self, route: usize, placed: &[Placed<'_>]) {
        for placed in placed {
            let FilterConfig::body(body) = placed.filter else { continue };
            if body.json && body.max.bytes() > FORWARD_REPLAY_MAX {
                let what = format!("a `forward` cannot pass on a body of «{}» that a filter has read", body.max);
                let remedy =
                    format!("write `max: {}` or less, or leave `json` out", Size::from_bytes(FORWARD_REPLAY_MAX));
                self.error(format_args!("{}/body/max", placed.pointer(route)), what, remedy);
            }
        }
    }
}

/// The JSON pointer to a key of a target, or to the target where it has no keys.
pub(super) struct ShortOr<'a> {
    tree: &'a Node,
    route: &'a str,
    target: &'a str,
    key: &'a str,
}

impl Display for ShortOr<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { tree, route, target, key } = self;
        let inside = format!("{route}/{target}/{key}");
        if tree.find(&inside).is_whole { f.write_str(&inside) } else { write!(f, "{route}/{target}") }
    }
}

/// The keys of the targets that a route has: one, where it is right.
fn targets(route: &Route) -> Vec<&'static str> {
    let targets = [
        ("forward", route.forward.is_some()),
        ("rpc", route.rpc.is_some()),
        ("commands", route.commands.is_some()),
        ("websocket", route.websocket.is_some()),
        ("sse", route.sse.is_some()),
        ("publish", route.publish.is_some()),
    ];
    targets.into_iter().filter_map(|(key, is_given)| is_given.then_some(key)).collect()
}
