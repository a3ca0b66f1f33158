use super::*;
use crate::config;
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
