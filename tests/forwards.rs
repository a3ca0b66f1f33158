//! A plain request is matched on one canonical path and proxied whole: bodies stream, hop-by-hop headers stay
//! here, what says who is asking is the gateway's own.

use crate::kit::{
    backend::{Backend, Reply},
    eventually,
    gateway::Gateway,
    raw::Raw,
};
use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex},
    thread,
};

fn yaml(backend: SocketAddr, route: &str) -> String {
    format!(
        r#"
version: 1
listeners:
  public: {{ bind: "127.0.0.1:0", limits: {{ body: 64KiB }} }}
upstreams:
  backend: {{ endpoints: ["http://{backend}"], timeouts: {{ connect: 500ms, read: 1s, write: 1s, request: 2s }} }}
  nowhere: {{ endpoints: ["http://127.0.0.1:1"] }}
budgets:
  few: {{ key: [client.ip], instance: ["3/1m"] }}
  email: {{ key: ["body.email|trim|lower"], instance: ["2/1m"] }}
routes:
  - {{ name: api, match: {{ path: "/api/*" }}, chain: request_id, {route} }}
  - {{ name: few, match: {{ path: /few, method: GET }}, chain: [ request_id, {{ budget: [few] }} ], forward: backend }}
  - {{ name: email, match: {{ path: /email, method: POST }}, chain: [ {{ body: {{ max: 1KiB, json: true }} }}, {{ budget: [email] }} ], forward: backend }}
  - {{ name: lost, match: {{ path: /lost }}, forward: nowhere }}
"#
    )
}

fn gateway(backend: &Backend) -> Gateway {
    Gateway::start(&yaml(backend.address, "forward: backend"))
}

fn echo() -> Backend {
    Backend::start(|seen| Reply::json(200, serde_json::json!({ "target": seen.target, "length": seen.body.len() })))
}

fn get(gateway: &Gateway, target: &str, headers: &str) -> crate::kit::raw::RawAnswer {
    Raw::connect(gateway.address("public"))
        .send(format!("GET {target} HTTP/1.1\r\nHost: a.example\r\n{headers}\r\n"))
        .answer()
}

#[test]
fn who_asks_is_said_by_the_gateway_alone() {
    let backend = echo();
    let gateway = gateway(&backend);
    let forged = "X-User-Id: admin\r\nx_user_id: admin\r\nX-Device-Session-Id: s\r\nX-Forwarded-For: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Real-Ip: 6.6.6.6\r\nConnection: x-secret\r\nX-Secret: 1\r\nTE: trailers\r\nX-Kept: yes\r\n";
    let answer = get(&gateway, "/api/a?b=c%2Fd", forged);
    assert_eq!(answer.status, 200);
    let seen = backend.seen().pop().unwrap();
    assert_eq!(seen.target, "/api/a?b=c%2Fd");
    let spelled_otherwise = ["x_user_id", "x_forwarded_for"];
    let dropped = ["x-user-id", "x-device-session-id", "x-real-ip", "x-secret", "te", "connection"];
    for dropped in dropped.iter().chain(&spelled_otherwise) {
        assert_eq!(seen.header(dropped), None, "{dropped}");
    }
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.header("x-forwarded-host"), Some("a.example"));
    assert_eq!(seen.header("forwarded"), Some("for=127.0.0.1;host=\"a.example\";proto=http"));
    assert_eq!(seen.header("host"), Some("a.example"));
    assert_eq!(seen.header("x-kept"), Some("yes"));
    assert_eq!(seen.header("x-request-id"), answer.header("x-request-id").as_deref());
}

#[test]
fn internal_paths_are_out_of_reach_however_they_are_spelled() {
    let backend = echo();
    let gateway = gateway(&backend);
    for target in [
        "/api/v1/internal/sessions/s",
        "/api/v1/internal",
        "/api/v1/Internal/x",
        "/api/v1/%69nternal/x",
        "/api/v1/%2569nternal/x",
        "/api/v1/public/../internal/x",
        "/api/v1/public/%2e%2e/internal/x",
        "/api/v1/public/..%2finternal/x",
        "/api/v1/./internal/x",
        "/api//v1/internal/x",
        "/api/v1%2finternal/x",
        "/api/v1\\internal/x",
        "/api/v1%5cinternal/x",
        "/api/v1/internal%00/x",
        "/api/v1/internal;a=b/x",
        "/api/v1/..;/v1/internal/x",
        "http://a.example/api/v1/internal/x",
    ] {
        let answer = get(&gateway, target, "");
        assert!(matches!(answer.status, 400 | 404), "{target}: {answer:?}");
        assert_eq!(answer.header("content-type").as_deref(), Some("application/problem+json"), "{target}");
    }
    assert!(backend.seen().is_empty(), "{:?}", backend.seen());
}

#[test]
fn refusals_are_problem_documents() {
    let backend = echo();
    let gateway = gateway(&backend);
    for (answer, status, reason) in [
        (get(&gateway, "/nothing", ""), 404, "ROUTE_UNKNOWN"),
        (get(&gateway, "/email", ""), 405, "METHOD_NOT_ALLOWED"),
        (get(&gateway, "/lost", ""), 503, "BACKEND_UNAVAILABLE"),
        (get(&gateway, "/api/../x", ""), 400, "REQUEST_MALFORMED"),
    ] {
        let problem = answer.json();
        assert_eq!((answer.status, problem["reason"].as_str()), (status, Some(reason)));
        assert_eq!(problem["status"], status);
        assert!(problem["title"].is_string() && problem["type"].is_string());
        assert_eq!(problem["request_id"].as_str(), answer.header("x-request-id").as_deref());
    }
    assert_eq!(get(&gateway, "/email", "").header("allow").as_deref(), Some("POST"));
    let post = |content_type: &str, body: &str| {
        let head = format!(
            "POST /email HTTP/1.1\r\nHost: a\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        Raw::connect(gateway.address("public")).send(head).send(body).answer()
    };
    for (content_type, body, status, reason) in [
        ("text/plain", "{}", 415, "MEDIA_TYPE_UNSUPPORTED"),
        ("application/json", "{", 400, "BODY_INVALID"),
        ("application/json", r#"{"email":"a","email":"b"}"#, 400, "BODY_INVALID"),
        ("application/json", &format!("\"{}\"", "x".repeat(2000)), 413, "BODY_TOO_LARGE"),
    ] {
        let answer = post(content_type, body);
        assert_eq!((answer.status, answer.json()["reason"].as_str()), (status, Some(reason)), "{body:.40}");
    }
    assert!(backend.seen().is_empty());
    // The body that a filter has read still reaches the backend; one identity has one budget, however spelled.
    assert_eq!(post("application/json", r#"{"email":"Ada@x"}"#).json()["length"], 17);
    assert_eq!(post("application/json", r#"{"email":" ada@X "}"#).status, 200);
    assert_eq!(post("application/json", r#"{"email":"ada@x"}"#).status, 429);
}

#[test]
fn a_budget_is_shown_and_held_on_plain_http() {
    let backend = echo();
    let gateway = gateway(&backend);
    for remaining in ["2", "1", "0"] {
        let answer = get(&gateway, "/few", "");
        assert_eq!((answer.status, answer.header("x-ratelimit-remaining").as_deref()), (200, Some(remaining)));
    }
    let refused = get(&gateway, "/few", "");
    assert_eq!((refused.status, refused.json()["reason"].as_str()), (429, Some("BUDGET_EXHAUSTED")));
    for (header, most) in [("retry-after", 60), ("x-ratelimit-reset", 60), ("x-ratelimit-limit", 3)] {
        let value: u64 = refused.header(header).unwrap().parse().unwrap();
        assert!((1..=most).contains(&value), "{header}: {value}");
    }
    assert_eq!(backend.seen().len(), 3);
    let line = gateway.access_line(|line| line["status"] == 429);
    assert_eq!(
        (line["route"].as_str(), line["reason"].as_str(), line["stopped_by"].as_str()),
        (Some("few"), Some("BUDGET_EXHAUSTED"), Some("budget"))
    );
}

#[test]
fn bodies_stream_both_ways_and_are_limited_as_they_stream() {
    let backend = echo();
    let gateway = gateway(&backend);
    let mut raw = Raw::connect(gateway.address("public"));
    raw.send("POST /api/up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..8 {
        raw.send("10\r\n0123456789abcdef\r\n");
    }
    assert_eq!(raw.send("0\r\n\r\n").answer().json()["length"], 128);
    let mut raw = Raw::connect(gateway.address("public"));
    raw.send("POST /api/up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
    for _ in 0..5 {
        raw.send(&chunk);
    }
    let answer = raw.answer();
    assert_eq!((answer.status, answer.json()["reason"].as_str()), (413, Some("BODY_TOO_LARGE")));
    let announced = Raw::connect(gateway.address("public"))
        .send("POST /api/up HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n")
        .answer();
    assert_eq!(announced.status, 413);
}

/// What a backend received, byte by byte.
fn recorder(answers: &'static [&'static str]) -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let bytes = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&bytes);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let into = Arc::clone(&into);
            thread::spawn(move || record(stream, answers, &into));
        }
    });
    (address, bytes)
}

fn record(mut stream: std::net::TcpStream, answers: &[&str], into: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 4096];
    let mut answers = answers.iter();
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        let mut bytes = into.lock().unwrap();
        bytes.extend_from_slice(&buffer[..read]);
        if bytes.ends_with(b"0\r\n\r\n") || !String::from_utf8_lossy(&bytes).contains("chunked") {
            match answers.next() {
                Some(answer) => drop(stream.write_all(answer.as_bytes())),
                None => return,
            }
        }
    }
}

/// pingora#935: an empty DATA frame with END_STREAM wrote the terminating chunk twice, and the backend took the
/// second one for the start of another request.
#[tokio::test]
async fn a_chunked_body_is_terminated_once() {
    let (backend, bytes) = recorder(&["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"]);
    let gateway = Gateway::start(&yaml(backend, "forward: backend"));
    let stream = tokio::net::TcpStream::connect(gateway.address("public")).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let uri = format!("http://{}/api/up", gateway.address("public"));
    let (response, mut body) = client.send_request(http::Request::post(uri).body(()).unwrap(), false).unwrap();
    body.send_data("hello".into(), false).unwrap();
    body.send_data(bytes::Bytes::new(), true).unwrap();
    assert_eq!(response.await.unwrap().status(), 200);
    let text = String::from_utf8(bytes.lock().unwrap().clone()).unwrap();
    assert!(text.ends_with("\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), "{text}");
    assert_eq!(text.matches("0\r\n\r\n").count(), 1, "{text}");
}

#[test]
fn a_broken_answer_is_a_502_and_a_late_one_a_504() {
    let (broken, _) = recorder(&["nonsense\r\n\r\n"]);
    let broken_gateway = Gateway::start(&yaml(broken, "forward: backend"));
    let answer = get(&broken_gateway, "/api/a", "");
    assert_eq!((answer.status, answer.json()["reason"].as_str()), (502, Some("BACKEND_UNAVAILABLE")));
    let late = Backend::start(|_| Reply::json(200, "{}").after(std::time::Duration::from_secs(10)));
    let answer = get(&gateway(&late), "/api/a", "");
    assert_eq!((answer.status, answer.json()["reason"].as_str()), (504, Some("BACKEND_TIMEOUT")));
}

#[test]
fn an_answer_that_breaks_off_never_looks_whole() {
    for head in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
        let answer = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n5\r\nhello\r\n");
        let (backend, _) = recorder(Box::leak(Box::new([&*answer.leak()])));
        let gateway = Gateway::start(&yaml(backend, "forward: backend"));
        let mut raw = Raw::connect(gateway.address("public"));
        raw.send("GET /api/a HTTP/1.1\r\nHost: a\r\n\r\n");
        let came = raw.rest();
        assert!(came.len() < 400 && !came.ends_with(b"0\r\n\r\n"), "{}", String::from_utf8_lossy(&came));
        assert!(!gateway.has_panicked());
    }
}

#[test]
fn a_post_is_sent_once_even_where_the_connection_breaks() {
    let (backend, bytes) = recorder(&[]);
    let gateway = Gateway::start(&yaml(backend, "forward: backend"));
    let answer = Raw::connect(gateway.address("public"))
        .send("POST /api/once HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
        .answer();
    assert_eq!(answer.status, 502);
    assert_eq!(String::from_utf8_lossy(&bytes.lock().unwrap()).matches("POST /api/once").count(), 1);
}

#[test]
fn a_websocket_passes_only_where_the_route_says_so() {
    const UPGRADE: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n";
    let ask = "GET /api/ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n\r\n";
    let (backend, bytes) = recorder(&[UPGRADE, "pong"]);
    let gateway = Gateway::start(&yaml(backend, "forward: { upstream: backend, websocket: true }"));
    let mut raw = Raw::connect(gateway.address("public"));
    assert_eq!(raw.send(ask).answer().status, 101);
    assert_eq!(raw.send("ping").until(b"pong").as_deref(), Some(&b"pong"[..]));
    eventually("the tunnel's bytes", || bytes.lock().unwrap().ends_with(b"ping").then_some(()));
    let backend = echo();
    let plain = self::gateway(&backend);
    assert_eq!(Raw::connect(plain.address("public")).send(ask).answer().status, 200);
    assert_eq!(backend.seen().pop().unwrap().header("upgrade"), None);
}
