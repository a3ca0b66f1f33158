//! The commands of the shell do what their help says.

use crate::kit::gateway::{SIGNER_PEM, portcullis};
use std::{fs, process::Output};

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
    let names: Vec<&str> = lines.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(names, ["host", "exact", "one", "keys", "rest"], "{lines}");
    assert!(lines.contains("GET,POST */a/b  [request_id]  → forward backend"), "{lines}");
    assert!(lines.contains("* */keys  []  → publish signing_keys"), "{lines}");
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
