//! The tests that a configuration has of itself find out what it does, and cannot pass by looking at nothing.

use crate::kit::gateway::portcullis;
use serde_json::Value;
use std::{fs, path::Path, process::Output};

const YAML: &str = r#"version: 1
listeners: { public: { bind: "127.0.0.1:1" } }
upstreams: { backend: { endpoints: ["http://127.0.0.1:2"] } }
budgets: { few: { key: [client.ip], instance: ["2/1m"] } }
routes:
  - { name: api, match: { path: "/api/*" }, chain: [request_id, { budget: few }], forward: backend }
tests:
"#;

fn run(folder: &Path, arguments: &[&str]) -> Output {
    portcullis().current_dir(folder).env_remove("PORTCULLIS_CONFIG").args(arguments).output().unwrap()
}

/// The exit code, what is printed, and what is said on stderr.
fn tested(tests: &str, more: &[&str]) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("gateway.yaml"), format!("{YAML}{tests}")).unwrap();
    let ran = run(folder.path(), &[&["test"], more].concat());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (ran.status.code(), text(&ran.stdout), text(&ran.stderr))
}

#[test]
fn the_reference_holds_what_it_promises() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ran = run(folder, &["test", "gateway.yaml"]);
    let told = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert_eq!(ran.status.code(), Some(0), "{told}{}", String::from_utf8_lossy(&ran.stderr));
    assert!(told.ends_with("6 tests with 11 requests: 6 passed, 0 failed\n"), "{told}");
}

#[test]
fn what_is_not_so_fails_with_what_came_instead() {
    for (test, said) in [
        ("request: { get: /api/a }, expect: { status: 404 }", "status\n        expected  404\n        came      200\n"),
        ("request: { get: /b }, expect: { status: 200 }", "came      404 (ROUTE_UNKNOWN: No route for this request)"),
        ("request: { get: /api/a }, expect: { reason: ROUTE_UNKNOWN }", "came      no refusal"),
        ("request: { get: /b }, expect: { route: api }", "came      no route"),
        ("request: { get: /b }, expect: { forward: { method: GET } }", "expected  to be sent to a backend"),
        ("request: { get: /api/a }, expect: { forward: { path: /a } }", "expected  /a\n        came      /api/a"),
        ("request: { get: /api/a }, expect: { forward: { headers: { x-a: b } } }", "came      no such header"),
        ("request: { get: /api/a }, expect: { headers: { x-ratelimit-limit: null } }", "came      2"),
        ("request: { get: /api/a }, expect: { stopped_by: budget }", "came      no filter"),
        ("request: { get: /api/a }, expect: { json: { a: 1 } }", "came      {}"),
        ("request: { get: /api/a }, expect: { result_code: ok }", "came      no signed answer"),
        ("request: { get: /api/a }, times: 4, expect: { status: 429 }", "request 3 of 4"),
        ("request: { get: /api/a }, times: 2, expect: { status: 429 }", "came      200"),
    ] {
        let (code, told, error) = tested(&format!("  - {{ name: it, {test} }}\n"), &[]);
        assert_eq!(code, Some(1), "{test}: {told}{error}");
        assert!(told.contains("FAIL  gateway.yaml:8  it") && told.contains(said), "{test}: {told}");
        assert!(told.contains("      gateway.yaml:8: "), "{told}");
    }
}

#[test]
fn time_passes_when_a_step_says_so() {
    let steps = "  - name: a budget comes back\n    steps:\n\
                 \x20     - { request: { get: /api/a }, times: 3, expect: { status: 429, headers: { retry-after: \"60\" } } }\n\
                 \x20     - { after: 59s, request: { get: /api/a }, expect: { status: 429 } }\n\
                 \x20     - { after: 2s, request: { get: /api/a }, expect: { status: 200 } }\n\
                 \x20     - { request: { get: /api/a, from: 198.51.100.1 }, expect: { status: 200 } }\n";
    let (code, told, error) = tested(steps, &[]);
    assert_eq!(code, Some(0), "{told}{error}");
    assert!(told.contains("1 test with 6 requests: 1 passed, 0 failed"), "{told}");
}

#[test]
fn nothing_is_shared_between_tests() {
    let test = |name: &str| {
        format!("  - {{ name: {name}, request: {{ get: /api/a }}, times: 2, expect: {{ status: 200 }} }}\n")
    };
    let (code, told, error) = tested(&[test("one"), test("other")].concat(), &["--format", "json"]);
    assert_eq!(code, Some(0), "{told}{error}");
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((told[1]["name"].as_str(), told[1]["requests"].as_u64()), (Some("other"), Some(2)));
    assert_eq!(told[1]["at"]["line"], 9);
}

#[test]
fn some_can_be_run_alone_and_none_is_no_success() {
    let tests = "  - { name: good, request: { get: /api/a }, expect: { status: 200 } }\n\
                 \x20 - { name: bad, request: { get: /api/a }, expect: { status: 500 } }\n";
    assert_eq!(tested(tests, &[]).0, Some(1));
    assert_eq!(tested(tests, &["--only", "goo"]).0, Some(0));
    let (code, told, error) = tested(tests, &["--only", "ugly"]);
    assert_eq!((code, told.as_str()), (Some(2), ""));
    assert!(error.contains("has no tests whose name has `ugly`"), "{error}");
    let (code, _, error) = tested("  []\n", &[]);
    assert!(code == Some(2) && error.contains("has no tests"), "{error}");
    assert_eq!(tested("  - { name: x }\n", &[]).0, Some(2));
}
