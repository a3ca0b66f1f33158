//! The commands of the shell do what their help says.

mod other_file;
mod output;
mod sources;
mod start;

use crate::kit::gateway::{SIGNER_PEM, portcullis};
use std::{fs, process::Output};

/// A configuration that is whole.
const YAML: &str = r#"version: 1
listeners: { public: { bind: "127.0.0.1:0" }, admin: { bind: "127.0.0.1:1", admin: true } }
upstreams: { backend: { endpoints: ["http://127.0.0.1:1"] } }
routes: [{ name: api, match: { path: "/api/*" }, chain: request_id, forward: backend }]
tests: [{ name: api, request: { get: /api/x }, expect: { route: api } }]
"#;

/// What is wrong with [`BROKEN`].
const PROBLEM: &str = "there is no upstream `nobody`";

fn broken() -> String {
    YAML.replace("forward: backend", "forward: nobody")
}

fn run(arguments: &[&str]) -> Output {
    portcullis().args(arguments).env("PORTCULLIS_SIGNING_KEY", SIGNER_PEM).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn routes_are_printed_in_the_order_in_which_they_are_tried() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.yaml");
    let yaml = r#"
version: 1
listeners: { public: { bind: "127.0.0.1:0" } }
upstreams: { backend: { endpoints: ["http://127.0.0.1:1"] } }
signing: { keys: { main: { env: PORTCULLIS_SIGNING_KEY } }, active: main }
routes:
  - { name: rest, match: { path: "/*" }, forward: backend }
  - { name: one, match: { path: "/a/{id}" }, forward: backend }
  - { name: exact, match: { path: /a/b, method: [GET, POST] }, chain: request_id, forward: backend }
  - { name: keys, match: { path: /keys }, publish: signing_keys }
  - { name: host, match: { host: api.example.com }, forward: backend }
"#;
    fs::write(&file, yaml).unwrap();
    let printed = run(&["routes", file.to_str().unwrap()]);
    let lines = text(&printed.stdout);
    assert_eq!(
        lines,
        "#  NAME   LISTENER  METHODS   HOST             PATH   TARGET                CHAIN\n\
         1  host   *         *         api.example.com  /*     forward backend       -\n\
         2  exact  *         GET,POST  *                /a/b   forward backend       request_id\n\
         3  one    *         *         *                /a/{}  forward backend       -\n\
         4  keys   *         *         *                /keys  publish signing_keys  -\n\
         5  rest   *         *         *                /*     forward backend       -\n"
    );
    let json: serde_json::Value =
        serde_json::from_slice(&run(&["routes", "--format", "json", file.to_str().unwrap()]).stdout).unwrap();
    let expected = serde_json::json!({
        "order": 2, "name": "exact", "methods": ["GET", "POST"], "path": "/a/b", "target": "forward backend",
        "chain": ["request_id"]
    });
    assert_eq!(json[1], expected);
}

#[test]
fn what_a_header_takes_from_the_environment_is_not_printed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.yaml");
    let yaml = r#"
version: 1
listeners: { public: { bind: "127.0.0.1:0" } }
upstreams: { backend: { endpoints: ["http://127.0.0.1:1"] } }
routes: [{ name: one, match: { path: /a, headers: { x-key: "${ROUTE_KEY}" } }, forward: backend }]
"#;
    fs::write(&file, yaml).unwrap();
    let printed = portcullis().args(["routes", file.to_str().unwrap()]).env("ROUTE_KEY", "s3cret").output().unwrap();
    let lines = text(&printed.stdout);
    assert!(lines.contains("x-key=${ROUTE_KEY}") && !lines.contains("s3cret"), "{lines}");
}

#[test]
fn the_reference_is_checked_and_its_schema_printed() {
    let reference = concat!(env!("CARGO_MANIFEST_DIR"), "/gateway.yaml");
    let checked = run(&["check", reference]);
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stdout));
    let schema: serde_json::Value = serde_json::from_slice(&run(&["schema"]).stdout).unwrap();
    assert!(schema["properties"]["listeners"].is_object());
    assert_eq!(run(&["check", "no-such-file.yaml"]).status.code(), Some(2));
}
