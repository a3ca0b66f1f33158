use super::*;
use crate::config::{self, Expanded};
use ed25519_dalek::{SigningKey, pkcs8::EncodePrivateKey as _};
use std::{fs, path::Path};

const BEFORE: &str = r#"
version: 1
listeners:
  edge: { bind: "127.0.0.1:8080" }
stores: { main: { memory: {} } }
upstreams:
  backend: { endpoints: ["http://127.0.0.1:8081"] }
  other: { endpoints: ["http://127.0.0.1:8082"] }
sessions: { devices: { upstream: backend, path: "/sessions/{id}" } }
signing: { keys: { main: { env: SIGNER } }, active: main }
budgets:
  few: { key: [client.ip], instance: ["3/1h"] }
  shared: { key: [client.ip], shared: ["3/1h"] }
chains:
  limited: [ request_id, { budget: few } ]
  signed: [ limited, envelope, { session: devices }, payload_hash, signature, freshness, { replay: { store: main } } ]
routes:
  - { name: all, match: { path: "/*" }, chain: limited, forward: other }
  - { name: edge, match: { rpc: edge.v1.Gateway }, chain: signed, commands: game, events: player }
  - { name: held, match: { path: /held }, chain: { budget: shared }, forward: other }
commands: { game: { upstream: backend, routes: { user.get: { get: /user } } } }
events: { player: { feed: { grpc: "http://127.0.0.1:8083" } } }
"#;

fn env(name: &str) -> Option<String> {
    match name {
        "SIGNER" => Some(SigningKey::from_bytes(&[7; 32]).to_pkcs8_pem(Default::default()).unwrap().to_string()),
        "OLD" => Some("http://127.0.0.1:1".to_owned()),
        "NEW" => Some("http://127.0.0.1:2".to_owned()),
        _ => None,
    }
}

fn load(yaml: &str) -> Loaded {
    config::parse(yaml, "gateway.yaml", Path::new(""), &env).unwrap_or_else(|report| panic!("{report}"))
}

fn between(before: &str, after: &str) -> Changes {
    let (before, after) = (load(before), load(after));
    Changes::between(&Side::now(&before), &Side::now(&after))
}

/// A change in few words: `~ routes.all: chain | stores.main`.
fn words(changes: &Changes) -> Vec<String> {
    let words = |change: &Change| {
        let keys: Vec<&str> = change.keys.iter().map(|key| key.key.as_str()).collect();
        let on: String = change.built_on.iter().map(|part| format!(" < {part}")).collect();
        format!("{:?} {} [{}]{on}: {:?}", change.what, change.part, keys.join(" "), change.takes)
    };
    changes.0.iter().map(words).collect()
}

#[test]
fn every_part_is_told_with_what_its_change_means() {
    for (from, to, expected) in [
        ("version: 1", "version: 1", &[][..]),
        // What holds anyway may be written or not.
        ("other: { endpoints", "other: { pool: { idle: 128 }, endpoints", &[]),
        ("{ name: held,", "{ name: held, cost: 1,", &[]),
        (
            "8081\"]",
            "8081\"], timeouts: { read: 9s }",
            &[
                "Changed routes.edge [] < upstreams.backend: AtOnce",
                "Changed sessions.devices [] < upstreams.backend: BeginsAnew",
                "Changed upstreams.backend [timeouts.read]: BeginsAnew",
            ],
        ),
        (
            "\"3/1h\"] }\n  shared",
            "\"4/1h\"] }\n  shared",
            &[
                "Changed budgets.few [instance]: BeginsAnew",
                "Changed routes.all [] < budgets.few: AtOnce",
                "Changed routes.edge [] < budgets.few: AtOnce",
            ],
        ),
        (
            "shared: [\"3/1h\"]",
            "shared: [\"3/1h\"], mode: observe",
            &["Changed budgets.shared [mode]: KeepsState", "Changed routes.held [] < budgets.shared: AtOnce"],
        ),
        (
            "memory: {}",
            "memory: { replay_ids: 9 }",
            &[
                "Changed routes.edge [] < stores.main: AtOnce",
                "Changed routes.held [] < stores.main: AtOnce",
                "Changed stores.main [memory.replay_ids]: BeginsAnew",
            ],
        ),
        (
            "limited: [ request_id",
            "limited: [ headers, request_id",
            &[
                "Changed chains.limited []: AtOnce",
                "Changed routes.all [] < chains.limited: AtOnce",
                "Changed routes.edge [] < chains.limited: AtOnce",
            ],
        ),
        ("user.get:", "user.read:", &["Changed commands.game [routes.user.get routes.user.read]: AtOnce"]),
        (
            "8083\" }",
            "8083\" }, heartbeat: 1s",
            &["Changed events.player [heartbeat]: KeepsState", "Changed routes.edge [] < events.player: AtOnce"],
        ),
        (
            "8083\"",
            "8084\"",
            &["Changed events.player [feed.grpc]: BeginsAnew", "Changed routes.edge [] < events.player: AtOnce"],
        ),
        ("name: held", "name: kept", &["Removed routes.held []: Ends", "Added routes.kept []: AtOnce"]),
        ("path: /held", "path: /kept", &["Changed routes.held [match.path]: AtOnce"]),
        (
            "main: { env: SIGNER } }, active: main",
            "next: { env: SIGNER } }, active: next",
            &["Changed signing [active keys.main keys.next]: AtOnce"],
        ),
        ("version: 1", "version: 1\nshut: []", &["Changed shut []: AtOnce"]),
        ("8080\"", "8080\", limits: { body: 2MiB }", &["Changed listeners.edge [limits.body]: AtOnce"]),
        ("8080\"", "8088\", limits: { body: 2MiB }", &["Changed listeners.edge [bind limits.body]: NeedsUpgrade"]),
        ("listeners:", "listeners:\n  more: { bind: \"127.0.0.1:1\" }", &["Added listeners.more []: NeedsUpgrade"]),
        ("version: 1", "version: 1\nnode: { threads: 2 }", &["Changed node [threads]: NeedsUpgrade"]),
    ] {
        let changes = between(BEFORE, &BEFORE.replace(from, to));
        assert_eq!(words(&changes), expected, "{from} → {to}");
    }
}

/// The origins of all routes, in the order of the file.
fn origins(yaml: &str) -> Vec<crate::plan::Origin> {
    let loaded = load(yaml);
    let files = files(&loaded);
    let origins = Origins::new(&loaded.config, &files);
    loaded
        .config
        .routes
        .iter()
        .map(|route| origins.of(route, &Expanded::of(&loaded.config, &route.chain).unwrap()))
        .collect()
}

#[test]
fn a_route_is_another_to_its_streams_where_they_hang_on_what_has_changed() {
    let before = origins(BEFORE);
    for (from, to, expected) in [
        ("8081\"]", "8081\"], timeouts: { read: 9s }", [false, true, false]),
        ("8082\"]", "8082\"], timeouts: { read: 9s }", [true, false, true]),
        ("memory: {}", "memory: { replay_ids: 9 }", [false, true, true]),
        ("limited: [ request_id", "limited: [ headers, request_id", [true, true, false]),
        ("forward: other }\n  - { name: edge", "forward: backend }\n  - { name: edge", [true, false, false]),
        ("8083", "8084", [false, true, false]),
        // What they are called, and what their requests do.
        ("name: edge", "name: front", [false; 3]),
        ("user.get:", "user.read:", [false; 3]),
        ("{ name: held,", "{ name: held, cost: 2,", [false; 3]),
        ("main: { env: SIGNER } }, active: main", "next: { env: SIGNER } }, active: next", [false; 3]),
    ] {
        let after = origins(&BEFORE.replace(from, to));
        let differs: Vec<bool> = before.iter().zip(&after).map(|(before, after)| before != after).collect();
        assert_eq!(differs, expected, "{from} → {to}");
    }
}

#[test]
fn what_a_file_holds_is_a_part_of_what_names_it() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("ca.pem"), "one").unwrap();
    let yaml = BEFORE.replace("8082\"]", "8082\"], tls: { ca: ca.pem }");
    let mut loaded = load(&yaml.replace(", tls: { ca: ca.pem }", ""));
    loaded.base_dir = folder.path().to_owned();
    loaded.config.upstreams.get_mut("other").unwrap().tls = serde_yaml::from_str("{ ca: ca.pem }").unwrap();
    let before = Side::now(&loaded);
    assert_eq!(words(&Changes::between(&before, &Side::now(&loaded))), [""; 0]);
    fs::write(folder.path().join("ca.pem"), "two").unwrap();
    let changes = Changes::between(&before, &Side::now(&loaded));
    assert_eq!(
        words(&changes),
        [
            "Changed routes.all [] < upstreams.other: AtOnce",
            "Changed routes.held [] < upstreams.other: AtOnce",
            "Changed upstreams.other [tls.ca]: BeginsAnew",
        ]
    );
    assert!(changes.to_string().contains("tls.ca  what is in ca.pem"), "{changes}");
}

#[test]
fn what_came_from_the_environment_stays_there() {
    let before = BEFORE.replace("http://127.0.0.1:8082", "${OLD}");
    let text = between(&before, &before.replace("${OLD}", "${NEW}")).to_string();
    assert!(text.contains(r#"["${OLD}"] → ["${NEW}"]"#), "{text}");
    let text = between(&before, &before.replace("${OLD}", "http://127.0.0.1:1")).to_string();
    assert!(!text.contains("upstreams"), "the value is the same: {text}");
}
