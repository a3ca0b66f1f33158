//! What a running process cannot change.

use crate::config::{Config, source::Listener};
use serde::Serialize;
use serde_json::Value;

/// The places in the configuration that differ and that only a new process can take up.
#[must_use]
pub fn fixed(before: &Config, after: &Config) -> Vec<String> {
    let mut changed = Vec::new();
    let mut hold = |place: &str, is_same: bool| {
        if !is_same {
            changed.push(place.to_owned());
        }
    };
    hold("node", is_same(&before.node, &after.node));
    hold("connections", is_same(&before.connections, &after.connections));
    hold("observe", is_same(&before.observe, &after.observe));
    for (name, before) in &before.listeners {
        let place = |key: &str| format!("listeners.{name}{key}");
        let Some(after) = after.listeners.get(name) else {
            hold(&place(""), false);
            continue;
        };
        for (key, is_same) in bound(before, after) {
            hold(&place(key), is_same);
        }
    }
    for name in after.listeners.keys().filter(|name| !before.listeners.contains_key(*name)) {
        hold(&format!("listeners.{name}"), false);
    }
    changed
}

/// What of a listener is fixed when its socket is bound. Its certificate is not, but whether it has one.
fn bound(before: &Listener, after: &Listener) -> [(&'static str, bool); 7] {
    [
        (".bind", before.bind == after.bind),
        (".protocols", before.protocols == after.protocols),
        (".tls", before.tls.is_some() == after.tls.is_some()),
        (".admin", before.admin == after.admin),
        (".limits.head", is_same(&before.limits.head, &after.limits.head)),
        (".limits.headers", before.limits.headers == after.limits.headers),
        (".limits.streams", before.limits.streams == after.limits.streams),
    ]
}

fn is_same(before: &impl Serialize, after: &impl Serialize) -> bool {
    let value = |part: Result<Value, _>| part.ok();
    value(serde_json::to_value(before)) == value(serde_json::to_value(after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use std::path::Path;

    const BEFORE: &str = r#"
version: 1
listeners:
  public: { bind: "127.0.0.1:8080", limits: { body: 1MiB, streams: 10 } }
  admin: { bind: "127.0.0.1:9901", admin: true }
upstreams: { backend: { endpoints: ["http://127.0.0.1:8081"] } }
routes: [{ name: all, match: { path: "/*" }, forward: backend }]
"#;

    #[test]
    fn addresses_and_threads_are_fixed_and_routes_are_not() {
        let parse = |yaml: &str| config::parse(yaml, "gateway.yaml", Path::new(""), &|_| None).unwrap().config;
        for (from, to, expected) in [
            ("8081", "8082", &[][..]),
            ("name: all", "name: every", &[]),
            ("body: 1MiB", "body: 2MiB", &[]),
            ("version: 1", "version: 1\ndrain: { delay: 1s }", &[]),
            ("version: 1", "version: 1\nnode: { threads: 2 }", &["node"]),
            ("version: 1", "version: 1\nconnections: { max: 9 }", &["connections"]),
            ("version: 1", "version: 1\nobserve: { access_log: { to: off } }", &["observe"]),
            ("127.0.0.1:8080", "127.0.0.1:8088", &["listeners.public.bind"]),
            (
                "streams: 10",
                "streams: 11, head: 8KiB",
                &["listeners.public.limits.head", "listeners.public.limits.streams"],
            ),
            ("  public:", "  front:", &["listeners.public", "listeners.front"]),
        ] {
            assert_eq!(fixed(&parse(BEFORE), &parse(&BEFORE.replace(from, to))), expected, "{from} → {to}");
        }
    }
}
