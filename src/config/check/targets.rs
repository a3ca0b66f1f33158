use super::{
    super::{
        nearest::{one_of, quoted},
        placed::Placed,
        source::Route,
    },
    Checks,
};
use filters::{api::units::Size, table::FilterConfig};

/// The service whose calls `commands` answers.
pub(super) const COMMAND_SERVICE: &str = "edge.v1.Gateway";
/// What Pingora 0.9.1 keeps of a body that was read ahead of the proxying, and sends again.
const FORWARD_REPLAY_MAX: u64 = 64 << 10;
/// What a signed request is held to. Without any one of them it could be forged, replayed or altered.
const SIGNED_FILTERS: &[&str] = &["envelope", "session", "payload_hash", "signature", "freshness", "replay"];

impl Checks<'_> {
    pub(super) fn target(&mut self, pointer: &str, route: &Route) {
        let config = self.config;
        let targets = targets(route);
        match targets.as_slice() {
            [] => {
                let what = format!("the route `{}` has no target", route.name);
                self.error(
                    pointer,
                    what,
                    "add `forward: UPSTREAM`, `rpc: { … }`, `commands: NAME`, `websocket: EVENTS`, `sse: EVENTS` or \
                     `publish: signing_keys`",
                );
            }
            [_] => {}
            [.., last] => {
                let what = format!("the route `{}` has more than one target", route.name);
                self.error(&format!("{pointer}/{last}"), what, format!("keep {}", one_of(&targets)));
            }
        }
        if let Some(forward) = &route.forward {
            let at = self.short_or(format!("{pointer}/forward"), "upstream");
            self.cleartext(&at, "a forward", forward.upstream());
        }
        if let Some(commands) = &route.commands {
            self.known(&format!("{pointer}/commands"), "command set", commands, &config.commands);
            if route.r#match.rpc.as_deref() != Some(COMMAND_SERVICE) {
                let remedy = format!("add `rpc: {COMMAND_SERVICE}` to its `match`");
                self.error(&format!("{pointer}/commands"), "commands are served on their own RPC service only", remedy);
            }
        }
        self.subscriptions(pointer, route);
        if let Some(rpc) = &route.rpc {
            self.rpc(&format!("{pointer}/rpc"), route, rpc);
        }
        let is_one_path = |path: &str| !path.contains(['{', '*']);
        if route.publish.is_some() && !route.r#match.path.as_deref().is_some_and(is_one_path) {
            let remedy = "write `path: /.well-known/jwks.json` in its `match`";
            self.error(&format!("{pointer}/match/path"), "signing keys are published on one path", remedy);
        }
    }

    pub(super) fn fits_target(&mut self, pointer: &str, route: &Route, placed: &[Placed<'_>]) {
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
                let at =
                    if route.chain.is_empty() { format!("{pointer}/{target}") } else { format!("{pointer}/chain") };
                self.error(&at, what, remedy);
            }
        } else if let Some(target) = targets.first() {
            let signed: Vec<&str> = SIGNED_FILTERS.iter().filter(has).copied().collect();
            if route.forward.is_some() {
                self.readable(placed);
            }
            if route.rpc.is_some() {
                self.unread(placed);
            }
            if !signed.is_empty() {
                let what = format!("{} look into a command, which a route with `{target}` has not", quoted(&signed));
                self.error(
                    &format!("{pointer}/chain"),
                    what,
                    "serve `commands` on this route, or take them out of its chain",
                );
            }
        }
    }

    /// Where a target's name stands: in its short form it is the whole of it.
    pub(super) fn short_or(&self, whole: String, key: &str) -> String {
        let inside = format!("{whole}/{key}");
        if self.tree.find(&inside).is_whole { inside } else { whole }
    }

    /// Messages of an RPC pass one by one, in any codec: there is no body that a filter could read.
    fn unread(&mut self, placed: &[Placed<'_>]) {
        for Placed { filter, pointer } in placed {
            let at = match filter.as_ref() {
                FilterConfig::body(body) if body.json => format!("{pointer}/body/json"),
                _ => continue,
            };
            let remedy = "take `json` out of the chain; messages are held to the service's descriptors";
            self.error(&at, "the messages of an `rpc` are not read by filters", remedy);
        }
    }

    fn readable(&mut self, placed: &[Placed<'_>]) {
        for Placed { filter, pointer } in placed {
            let FilterConfig::body(body) = filter.as_ref() else { continue };
            if body.json && body.max.bytes() > FORWARD_REPLAY_MAX {
                let what = format!("a `forward` cannot pass on a body of {} that a filter has read", body.max);
                let remedy =
                    format!("write `max: {}` or less, or leave `json` out", Size::from_bytes(FORWARD_REPLAY_MAX));
                self.error(&format!("{pointer}/body/max"), what, remedy);
            }
        }
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
