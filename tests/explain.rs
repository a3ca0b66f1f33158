//! What a configuration makes of a request is told as it would happen, with the lines that decide it, and nothing is sent.

mod calls;
mod forms;
mod logged;
mod named;
mod proofs;
mod served;
mod wires;

use crate::kit::gateway::portcullis;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

/// Ports on which nobody listens: whatever is sent there fails.
const YAML: &str = r#"version: 1
listeners:
  public: { bind: "127.0.0.1:1", trusted_proxies: [10.0.0.0/8] }
  edge: { bind: "127.0.0.1:2" }
stores: { main: { redis: { url: "redis://127.0.0.1:3" } } }
upstreams:
  backend: { endpoints: ["http://127.0.0.1:4"] }
sessions: { devices: { upstream: backend, path: "/api/v1/internal/sessions/{id}" } }
signing: { keys: { main: { file: no-such-file.pem } }, active: main }
budgets:
  once: { key: [client.ip], shared: ["1/1m"] }
chains:
  signed: [request_id, envelope, session: devices, payload_hash, signature, freshness, replay: { store: main }]
routes:
  - name: mail
    match: { listener: public, method: POST, path: /mail }
    chain:
      - { headers: { request: { remove: [x-debug], set: { x-by: portcullis } }, response: { set: { x-served: "1" } } } }
      - { ip: { deny: [203.0.113.0/24] } }
      - { body: { max: 1KiB, json: true } }
      - { budget: once }
    forward: backend
  - { name: beta, match: { listener: public, path: "/pages/*", headers: { x-beta: "1" } }, forward: backend }
  - { name: app, match: { listener: public, host: app.example.com }, forward: backend }
  - { name: pages, match: { listener: public, path: "/pages/*" }, forward: backend }
  - { name: edge, match: { listener: edge, rpc: edge.v1.Gateway }, chain: signed, commands: game }
  - { name: keys, match: { listener: edge, path: /keys }, publish: signing_keys }
commands: { game: { upstream: backend, routes: { game.get: { get: "/games/{payload.id}" } } } }
"#;

struct Told {
    code: Option<i32>,
    text: String,
    error: String,
}

impl From<Output> for Told {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), text: text(&output.stdout), error: text(&output.stderr) }
    }
}

struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    fn new(yaml: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("gateway.yaml"), yaml).unwrap();
        Self { folder }
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    fn run(&self, arguments: &[&str]) -> Told {
        let (command, rest) = arguments.split_first().unwrap();
        let mut process = portcullis();
        process.current_dir(self.folder.path()).arg(command).arg("gateway.yaml").args(rest);
        process.env_remove("PORTCULLIS_CONFIG").output().unwrap().into()
    }

    fn explain(&self, arguments: &[&str]) -> Told {
        self.run(&[&["explain"], arguments].concat())
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let told = self.explain(&[arguments, &["--format", "json"]].concat());
        serde_json::from_str(&told.text).unwrap_or_else(|_| panic!("{}{}", told.text, told.error))
    }
}

/// The pairs of a list of headers.
fn header<'a>(headers: &'a Value, name: &str) -> Option<&'a str> {
    headers.as_array().unwrap().iter().find(|pair| pair[0] == name).and_then(|pair| pair[1].as_str())
}

fn verdicts(told: &Value) -> Vec<String> {
    let judged = told["filters"].as_array().unwrap().iter();
    judged
        .map(|judged| format!("{} {}", judged["filter"].as_str().unwrap(), judged["verdict"].as_str().unwrap()))
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn line_of(what: &str) -> u64 {
    YAML.lines().position(|line| line.contains(what)).unwrap() as u64 + 1
}

const MAIL: &[&str] = &["/mail", "--listener", "public", "-H", "content-type: application/json", "-d", r#"{"a":1}"#];

#[test]
fn what_came_from_the_environment_is_not_shown() {
    let scene = Scene::new(&YAML.replace("x-by: portcullis", r#"x-by: "key-${KEY_OF_BACKEND}""#));
    for format in ["text", "json"] {
        let mut process = portcullis();
        process
            .current_dir(scene.folder.path())
            .args(["explain", "gateway.yaml"])
            .args(MAIL)
            .args(["--format", format]);
        let told: Told = process.env("KEY_OF_BACKEND", "hunter2").output().unwrap().into();
        assert_eq!(told.code, Some(0), "{}", told.error);
        assert!(told.text.contains("key-${KEY_OF_BACKEND}") && !told.text.contains("hunter2"), "{}", told.text);
    }
}

#[test]
fn a_forward_is_told_as_it_would_be_sent() {
    let scene = Scene::new(YAML);
    let more = ["--from", "10.1.1.1", "-H", "x-forwarded-for: 198.51.100.9", "-H", "X_User_Id: 7", "-H", "x-debug: 1"];
    let told = scene.json(&[MAIL, &more].concat());
    assert_eq!((told["outcome"].as_str(), told["route"].as_str()), (Some("forwarded"), Some("mail")), "{told:#}");
    assert_eq!(told["route_at"]["line"], line_of("name: mail"));
    assert_eq!(told["client_ip"], "198.51.100.9");
    assert_eq!(told["dropped_headers"], serde_json::json!(["x_user_id"]));
    assert_eq!(verdicts(&told), ["headers passed", "ip passed", "body passed", "budget passed"]);
    assert_eq!(told["filters"][3]["at"]["line"], line_of("budget: once"));
    let sent = &told["sent"];
    assert_eq!((sent["upstream"].as_str(), sent["target"].as_str()), (Some("backend"), Some("/mail")));
    assert_eq!(sent["body"], r#"{"a":1}"#);
    for (name, expected) in [
        ("x-by", Some("portcullis")),
        ("x-debug", None),
        ("x_user_id", None),
        ("x-forwarded-for", Some("198.51.100.9")),
        ("host", Some("localhost")),
        ("content-length", Some("7")),
    ] {
        assert_eq!(header(&sent["headers"], name), expected, "{name} in {sent:#}");
    }
}

#[test]
fn a_refusal_names_the_filter_and_its_line() {
    let scene = Scene::new(YAML);
    for (more, reason, status, verdicts_expected) in [
        (
            &["--from", "203.0.113.7"][..],
            "ADDRESS_FORBIDDEN",
            403,
            ["headers passed", "ip refused", "body not_reached", "budget not_reached"],
        ),
        (
            &["-H", "content-type: text/plain"],
            "MEDIA_TYPE_UNSUPPORTED",
            415,
            ["headers passed", "ip passed", "body refused", "budget not_reached"],
        ),
    ] {
        let told = scene.json(&[MAIL, more].concat());
        assert_eq!(told["reason"], reason, "{told:#}");
        assert_eq!(told["answer"]["status"], status);
        assert_eq!(verdicts(&told), verdicts_expected);
        assert_eq!(header(&told["answer"]["headers"], "x-served"), Some("1"), "a refusal has the filters' edits too");
        assert_eq!(scene.explain(&[MAIL, more].concat()).code, Some(1));
    }
    let told = scene.explain(&[MAIL, &["--from", "203.0.113.7"]].concat()).text;
    assert!(
        told.contains("✗ ip            refused") && told.contains(&format!("gateway.yaml:{}", line_of("ip: {"))),
        "{told}"
    );
}

#[test]
fn routes_that_were_tried_say_why_they_were_not_taken() {
    let scene = Scene::new(YAML);
    let told = scene.json(&["/pages/a", "--listener", "public"]);
    assert_eq!(told["route"], "pages", "{told:#}");
    let told_of = |one: &Value| (text(&one["route"]), text(&one["why"]), one["at"]["line"].as_u64().unwrap());
    let considered: Vec<_> = told["considered"].as_array().unwrap().iter().map(told_of).collect();
    let of = |route: &str, why: &str| (route.to_owned(), why.to_owned(), line_of(&format!("name: {route}")));
    for expected in [of("app", "is for host app.example.com"), of("beta", "asks for the header `x-beta: 1`")] {
        assert!(considered.contains(&expected), "{expected:?} is not in {considered:?}");
    }
    let told = scene.json(&["/mail", "--listener", "public"]);
    assert_eq!((told["reason"].as_str(), told["answer"]["status"].as_u64()), (Some("METHOD_NOT_ALLOWED"), Some(405)));
    assert_eq!(header(&told["answer"]["headers"], "allow"), Some("POST"));
}

#[test]
fn a_path_that_has_none_is_told() {
    let scene = Scene::new(YAML);
    for (path, reason, status) in [
        ("/api/v1/internal/sessions/1", "ROUTE_UNKNOWN", 404),
        ("/API/v1/%69nternal;x/", "ROUTE_UNKNOWN", 404),
        ("/a/..%2fb", "REQUEST_MALFORMED", 400),
        ("/a//b", "REQUEST_MALFORMED", 400),
        ("/nothing", "ROUTE_UNKNOWN", 404),
    ] {
        let told = scene.json(&[path, "--listener", "public"]);
        assert_eq!(
            (told["reason"].as_str(), told["answer"]["status"].as_u64()),
            (Some(reason), Some(status)),
            "{path}"
        );
    }
}

#[test]
fn a_command_goes_through_its_own_checks() {
    let scene = Scene::new(YAML);
    let command = ["--command", "game.get", "-d", r#"{"id":"g 1","page":2}"#];
    let told = scene.json(&command);
    assert_eq!(told["outcome"], "forwarded", "{told:#}");
    assert_eq!(told["sent"]["target"], "/games/g%201?page=2");
    assert_eq!(header(&told["sent"]["headers"], "x-user-id"), Some("somebody"));
    // What a filter is said to set is what is sent.
    let id = header(&told["sent"]["headers"], "x-gateway-request-id").unwrap();
    assert_ne!(header(&told["sent"]["headers"], "x-request-id"), Some(id));
    let said = told["filters"].to_string();
    assert!(said.contains(&format!("sets x-gateway-request-id: {id} to the backend")), "{said}");
    assert!(!said.contains(&format!("sets x-request-id: {id} to the backend")), "{said}");
    assert_eq!(told["answer"]["result_code"], "ok");
    assert_eq!(told["asked"][0]["target"], "/api/v1/internal/sessions/explained");
    assert!(verdicts(&told).iter().all(|verdict| verdict.ends_with(" passed")), "{told:#}");

    let told = scene.json(&[&command[..], &["--session", r#"{"user_id":"u","status":"active"}"#]].concat());
    let (reason, detail) = (told["reason"].as_str(), told["detail"].as_str().unwrap());
    assert_eq!(reason, Some("SESSION_LOOKUP_UNAVAILABLE"));
    assert!(detail.ends_with("the answer lacks `device_session_id`"), "{detail}");

    let told = scene.json(&[&command[..], &["--session", "none"]].concat());
    assert_eq!((told["reason"].as_str(), told["answer"]["status"].as_u64()), (Some("SESSION_UNKNOWN"), Some(401)));
    assert_eq!(verdicts(&told)[2..4], ["session refused", "payload_hash not_reached"]);

    let other = r#"{"device_session_id":"explained","user_id":"u","status":"active",
                    "client_public_key":"A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="}"#;
    let file = scene.file("session.json", other);
    let told = scene.json(&[&command[..], &["--session", file.to_str().unwrap()]].concat());
    assert_eq!(told["reason"], "SIGNATURE_INVALID", "{told:#}");
}

#[test]
fn what_is_not_here_leaves_a_request_undecided() {
    let scene = Scene::new(YAML);
    let envelope = r#"{"protocolVersion":"v1","deviceSessionId":"s-1","messageType":"game.get","timestampMs":"1",
        "requestId":"r","payloadHash":"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        "signature":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="}"#;
    let arguments = ["/edge.v1.Gateway/ExecuteCommand", "--listener", "edge", "-H", "content-type: application/json"];
    let told = scene.explain(&[&arguments[..], &["-d", envelope]].concat());
    assert_eq!(told.code, Some(3), "{}{}", told.text, told.error);
    assert!(told.text.contains("session       not decided offline"), "{}", told.text);
    assert!(told.text.contains("`backend` is asked GET /api/v1/internal/sessions/s-1"), "{}", told.text);
    let told = scene.explain(&["/keys", "--listener", "edge"]);
    assert_eq!(told.code, Some(0), "{}", told.text);
}

/// Holds what is printed to a file beside the other golden ones.
fn golden(name: &str, told: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/explained").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, told).unwrap();
    }
    assert_eq!(told, fs::read_to_string(&path).unwrap_or_default(), "{name}");
}

#[test]
fn an_explanation_reads_so() {
    let scene = Scene::new(YAML);
    golden("forwarded.txt", &scene.explain(&[MAIL, &["-H", "x-user-id: 7"]].concat()).text);
    golden("not-routed.txt", &without_ids(&scene.explain(&["/pages", "--listener", "public"]).text));
    golden("refused.txt", &without_ids(&scene.explain(&[MAIL, &["--from", "203.0.113.7"]].concat()).text));
}

/// Ids are others each time: their lines and bodies are left out.
fn without_ids(told: &str) -> String {
    told.lines()
        .filter(|line| !line.contains("request-id") && !line.contains("request_id"))
        .fold(String::new(), |text, line| text + line + "\n")
}
