//! A request's body: what is broken or slow in it is the client's, whoever reads it.

use crate::kit::{
    backend::{Backend, Reply},
    device::edge_yaml,
    gateway::Gateway,
    raw::{Raw, RawAnswer},
};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use std::time::{Duration, Instant};

fn yaml(backend: &Backend) -> String {
    format!(
        r#"
version: 1
listeners:
  public: {{ bind: "127.0.0.1:0" }}
connections: {{ body_idle: 1s }}
upstreams:
  backend: {{ endpoints: ["http://{0}"], timeouts: {{ connect: 500ms, read: 200ms, request: 10s }} }}
  brief: {{ endpoints: ["http://{0}"], timeouts: {{ connect: 500ms, read: 200ms, request: 500ms }} }}
budgets:
  many: {{ key: [client.ip], instance: ["1000/1m"] }}
routes:
  - {{ name: api, match: {{ path: "/api/*" }}, chain: [ {{ budget: [many] }} ], forward: backend }}
  - {{ name: brief, match: {{ path: /brief }}, forward: brief }}
  - {{ name: read, match: {{ path: /read }}, chain: [ {{ budget: [many] }}, {{ body: {{ max: 1KiB, json: true }} }} ], forward: backend }}
"#,
        backend.address
    )
}

fn echo() -> Backend {
    Backend::start(|seen| Reply::json(200, serde_json::json!({ "length": seen.body.len() })))
}

fn post(gateway: &Gateway, path: &str, framing: &str) -> Raw {
    let mut raw = Raw::connect(gateway.address("public"));
    raw.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n{framing}\r\n\r\n"));
    raw
}

fn outcome(answer: &RawAnswer) -> (u16, String) {
    (answer.status, answer.json()["reason"].as_str().unwrap_or_default().to_owned())
}

/// The first detail of a Connect error, as far as it is text.
fn detail(error: &serde_json::Value) -> String {
    let bytes = STANDARD_NO_PAD.decode(error["details"][0]["value"].as_str().unwrap()).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

const CHUNKED: &str = "Transfer-Encoding: chunked";

#[test]
fn a_body_that_is_framed_wrongly_is_the_clients_fault() {
    let backend = echo();
    let gateway = Gateway::start(&yaml(&backend));
    for path in ["/api/a", "/read"] {
        for chunk in ["0x5\r\n", "5\nhello\r\n", "FFFFFFFFFFFFFFFF\r\n", "2\r\n{}XX"] {
            let answer = post(&gateway, path, CHUNKED).send(chunk).answer();
            assert_eq!(outcome(&answer), (400, "REQUEST_MALFORMED".to_owned()), "{path} {chunk:?}");
            assert_eq!(answer.header("connection").as_deref(), Some("close"));
        }
    }
    assert!(!gateway.has_logged("ERROR"));
}

#[test]
fn a_body_that_breaks_off_is_no_fault_of_ours() {
    let backend = echo();
    let gateway = Gateway::start(&yaml(&backend));
    for path in ["/api/a", "/read"] {
        for (framing, body) in [("Content-Length: 9", "{"), (CHUNKED, "5\r\n{"), (CHUNKED, "2\r\n{}\r\n")] {
            let rest = post(&gateway, path, framing).send(body).close_write().rest();
            assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 400 "), "{path} {body}: {rest:?}");
        }
    }
    assert!(!gateway.has_logged("ERROR"));
    assert!(backend.seen().iter().all(|seen| seen.target != "/read"));
}

#[test]
fn a_body_that_stalls_is_a_408() {
    let backend = echo();
    let gateway = Gateway::start(&yaml(&backend));
    for path in ["/api/a", "/read", "/brief"] {
        for (framing, body) in [("Content-Length: 9", "{"), (CHUNKED, "1\r\n{\r\n")] {
            let answer = post(&gateway, path, framing).send(body).answer();
            assert_eq!(outcome(&answer), (408, "REQUEST_TIMEOUT".to_owned()), "{path} {framing}");
        }
    }
    assert!(!gateway.has_logged("ERROR"));
}

#[test]
fn a_command_with_a_broken_body_is_refused_in_its_own_protocol() {
    let backend = echo();
    let gateway = Gateway::start(&edge_yaml(&backend).replace("drain:", "connections: { body_idle: 300ms }\ndrain:"));
    let call = |body: &str| {
        let head = "POST /edge.v1.Gateway/ExecuteCommand HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
        Raw::connect(gateway.address("edge")).send(head).send(body).answer()
    };
    for (body, code, reason) in
        [("0x5\r\n", "invalid_argument", "REQUEST_MALFORMED"), ("2\r\n{}\r\n", "deadline_exceeded", "REQUEST_TIMEOUT")]
    {
        let error = call(body).json();
        assert_eq!(error["code"], code, "{error}");
        assert!(detail(&error).contains(reason), "{error}");
    }
    assert!(!gateway.has_logged("ERROR"));
}

#[test]
fn an_upload_may_pause_longer_than_a_backend_may_be_silent() {
    let backend = echo();
    let gateway = Gateway::start(&yaml(&backend));
    let mut raw = post(&gateway, "/api/a", "Content-Length: 4");
    for piece in ["{\"", "\"}"] {
        // Longer than the backend's `read`, shorter than `body_idle`.
        std::thread::sleep(Duration::from_millis(500));
        raw.send(piece);
    }
    assert_eq!(raw.answer().json()["length"], 4);
}

#[tokio::test]
async fn an_h2_upload_may_pause_and_may_not_stall() {
    let backend = echo();
    let gateway = Gateway::start(&yaml(&backend));
    let stream = tokio::net::TcpStream::connect(gateway.address("public")).await.unwrap();
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    for (is_finished, status) in [(true, 200), (false, 408)] {
        let request = http::Request::post("http://a/api/a").body(()).unwrap();
        let (answer, mut body) = client.send_request(request, false).unwrap();
        body.send_data("{".into(), false).unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
        if is_finished {
            body.send_data("}".into(), true).unwrap();
        }
        assert_eq!(answer.await.unwrap().status(), status);
    }
}

#[test]
fn a_backend_is_held_to_its_own_time_once_the_upload_has_ended() {
    let backend = Backend::start(|_| Reply::json(200, "{}").after(Duration::from_secs(60)));
    let gateway = Gateway::start(&yaml(&backend).replace("body_idle: 1s", "body_idle: 30s"));
    let started = Instant::now();
    let answer = post(&gateway, "/api/a", CHUNKED).send("2\r\n{}\r\n0\r\n\r\n").answer();
    assert_eq!(outcome(&answer), (504, "BACKEND_TIMEOUT".to_owned()));
    // By `read`, not by `request`.
    assert!(started.elapsed() < Duration::from_secs(8));
}

#[test]
fn a_client_that_waits_with_its_body_is_told_to_send_it_once() {
    let backend = echo();
    let gateway = Gateway::start(&yaml(&backend));
    for path in ["/read", "/api/a"] {
        let mut raw = post(&gateway, path, "Content-Length: 2\r\nExpect: 100-continue");
        let invited = raw.answer();
        assert_eq!((invited.status, invited.header("x-ratelimit-limit")), (100, None), "{path}");
        let answer = raw.send("{}").answer();
        assert_eq!((answer.status, answer.json()["length"].as_u64()), (200, Some(2)), "{path}");
        assert!(answer.header("x-ratelimit-limit").is_some());
    }
    assert_eq!(backend.seen_at("/read").pop().unwrap().header("expect"), None);
    // A body that will not be taken is not asked for.
    let answer = post(&gateway, "/read", "Content-Length: 5000\r\nExpect: 100-continue").answer();
    assert_eq!(outcome(&answer), (413, "BODY_TOO_LARGE".to_owned()));
    assert_eq!(answer.header("connection").as_deref(), Some("close"));
}

#[test]
fn a_command_whose_client_waits_is_asked_for() {
    let backend = echo();
    let gateway = Gateway::start(&edge_yaml(&backend));
    let mut raw = Raw::connect(gateway.address("edge"));
    raw.send("POST /edge.v1.Gateway/ExecuteCommand HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(raw.answer().status, 100);
    assert_eq!(raw.send("{}").answer().json()["code"], "invalid_argument");
}

/// Most clients take a write that fails for the outcome of their call, and never read what it came to.
#[test]
fn a_client_that_is_refused_while_it_sends_may_finish_and_call_again() {
    let backend = echo();
    let gateway = Gateway::start(&edge_yaml(&backend));
    let head = |path: &str, framing: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/proto\r\n{framing}\r\n\r\n")
    };
    // More than the listener takes of a message, which is 64 KiB.
    let (large, chunk) = (vec![0; 1 << 20], [&b"10000\r\n"[..], &vec![0; 1 << 16], b"\r\n"].concat());
    for (path, framing, body, end, reason) in [
        ("/edge.v1.Gateway/Nothing", "Content-Length: 2", &b"{"[..], &b"}"[..], "ROUTE_UNKNOWN"),
        ("/edge.v1.Gateway/Nothing", CHUNKED, b"2\r\n{}\r\n", b"0\r\n\r\n", "ROUTE_UNKNOWN"),
        ("/edge.v1.Gateway/ExecuteCommand", "Content-Length: 1048577", &large, b"}", "MESSAGE_TOO_LARGE"),
        ("/edge.v1.Gateway/ExecuteCommand", CHUNKED, &[&chunk[..], &chunk].concat(), b"0\r\n\r\n", "MESSAGE_TOO_LARGE"),
    ] {
        let mut raw = Raw::connect(gateway.address("edge"));
        let answer = raw.send(head(path, framing)).send(body).answer();
        assert!(detail(&answer.json()).contains(reason), "{answer:?}");
        assert_eq!(answer.header("connection").as_deref(), Some("keep-alive"), "{answer:?}");
        let next = raw.send(end).send(head("/edge.v1.Gateway/ExecuteCommand", "Content-Length: 0")).answer();
        assert!(detail(&next.json()).contains("ENVELOPE_INVALID"), "{next:?}");
    }
}

#[test]
fn a_client_that_is_refused_and_does_not_finish_is_let_go() {
    let backend = echo();
    let gateway = Gateway::start(&yaml(&backend));
    let mut raw = post(&gateway, "/nothing", "Content-Length: 2");
    assert_eq!(outcome(&raw.answer()), (404, "ROUTE_UNKNOWN".to_owned()));
    assert_eq!(raw.rest(), b"");
}
