//! What both logs say of a request and of the process: when, where, by whom, and under which ids.

use crate::kit::{
    backend::{Backend, Reply},
    device::{backend, command, device, edge_yaml, refused, send},
    events::{encode, scene, subscription},
    eventually,
    gateway::Gateway,
    raw::Raw,
};
use portcullis::client::{Codec, Protocol};
use proto::edge::v1::SubscribeOptions;
use serde_json::Value;
use std::{fs, time::Duration};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
/// `printf %s session-1 | sha256sum | cut -c1-16`
const SESSION: &str = "84097828fc31a8c8";

fn traceparent() -> String {
    format!("00-{TRACE}-00f067aa0ba902b7-01")
}

/// RFC 3339, in UTC, with milliseconds.
fn is_time(value: &Value) -> bool {
    let pattern = b"dddd-dd-ddTdd:dd:dd.dddZ";
    value.as_str().is_some_and(|text| {
        let fits = |(byte, wanted): (u8, &u8)| if *wanted == b'd' { byte.is_ascii_digit() } else { byte == *wanted };
        text.len() == pattern.len() && text.bytes().zip(pattern).all(fits)
    })
}

fn is_of(line: &Value, gateway: &Gateway, node: &str) -> bool {
    is_time(&line["time"]) && line["node"] == node && line["pid"] == gateway.pid()
}

fn forwards(backend: &Backend) -> String {
    format!(
        r#"
version: 1
node: {{ id: "gw-7" }}
listeners:
  public: {{ bind: "127.0.0.1:0" }}
  admin: {{ bind: "127.0.0.1:0", admin: true }}
upstreams: {{ backend: {{ endpoints: ["http://{}"] }} }}
routes: [ {{ name: api, match: {{ path: "/*" }}, chain: request_id, forward: backend }} ]
drain: {{ delay: 0s, deadline: 10s }}
"#,
        backend.address
    )
}

#[test]
fn an_access_line_says_when_where_and_what_was_asked() {
    let backend = Backend::start(|_| Reply::json(200, "{}"));
    let gateway = Gateway::start(&forwards(&backend));
    let head = format!(
        "GET /x?secret=1 HTTP/1.1\r\nHost: shop.example.com\r\nUser-Agent: curl/8\r\nX-Request-Id: own-1\r\n\
         X-Gateway-Request-Id: forged\r\nX_Gateway_Request_Id: forged\r\ntraceparent: {}\r\n\r\n",
        traceparent()
    );
    let answer = Raw::connect(gateway.address("public")).send(head).answer();
    assert_eq!(answer.status, 200);
    let line = gateway.access_line(|line| line["path"] == "/x");
    assert!(is_of(&line, &gateway, "gw-7"), "{line}");
    for (field, value) in [
        ("event", "access"),
        ("host", "shop.example.com"),
        ("user_agent", "curl/8"),
        ("client_request_id", "own-1"),
        ("trace_id", TRACE),
        ("request_id", &answer.header("x-request-id").unwrap()),
    ] {
        assert_eq!(line[field], value, "{field}: {line}");
    }
    assert!(line.get("session").is_none() && line.get("user").is_none(), "{line}");
    let seen = backend.seen_at("/x?secret=1").pop().unwrap();
    assert_eq!(seen.header("x-request-id"), line["request_id"].as_str());
    assert!(seen.header("x-gateway-request-id").is_none() && seen.header("x_gateway_request_id").is_none());

    // What is refused at the door has a line of the same kind.
    Raw::connect(gateway.address("public")).send("GET / HTTP/1.1\r\n\r\n").answer();
    let line = gateway.access_line(|line| line["reason"] == "REQUEST_MALFORMED");
    assert!(is_of(&line, &gateway, "gw-7"), "{line}");
}

#[test]
fn long_headers_are_cut_in_the_log() {
    let backend = Backend::start(|_| Reply::json(200, "{}"));
    let gateway = Gateway::start(&forwards(&backend));
    let agent = "ä".repeat(2000);
    let head =
        format!("GET /x HTTP/1.1\r\nHost: a\r\nUser-Agent: {agent}\r\nX-Request-Id: {}\r\n\r\n", "x".repeat(129));
    assert_eq!(Raw::connect(gateway.address("public")).send(head).answer().status, 200);
    let line = gateway.access_line(|line| line["path"] == "/x");
    assert_eq!(line["user_agent"], "ä".repeat(128), "{line}");
    assert!(line.get("client_request_id").is_none(), "{line}");
}

#[test]
fn a_command_is_followed_from_the_client_to_its_backend() {
    let backend = backend();
    let gateway = Gateway::start(&edge_yaml(&backend));
    let send = |more: &str| {
        let request = device("session-1").sign(&command("user.account.get", ""));
        let body = serde_json::to_string(&request).unwrap();
        let head = format!(
            "POST /edge.v1.Gateway/ExecuteCommand HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n{more}\
             X-Gateway-Request-Id: forged\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let answer = Raw::connect(gateway.address("edge")).send(head).send(body).answer();
        assert_eq!(answer.status, 200);
        let line = gateway.access_line(|line| line["client_request_id"] == request.request_id.as_str());
        let seen = backend.seen_at("/api/v1/user/account").pop().unwrap();
        assert_eq!(line["request_id"].as_str(), answer.header("x-request-id").as_deref());
        assert_eq!(seen.headers.get_all("x-gateway-request-id").iter().count(), 1);
        assert_eq!(seen.header("x-gateway-request-id"), line["request_id"].as_str());
        assert_eq!(seen.header("x-request-id"), Some(request.request_id.as_str()));
        let trace = line["trace_id"].as_str().unwrap().to_owned();
        assert_eq!(seen.header("traceparent").unwrap().split('-').nth(1), Some(trace.as_str()));
        assert_eq!((&line["session"], &line["user"]), (&SESSION.into(), &"user-1".into()), "{line}");
        trace
    };
    assert_eq!(send(&format!("traceparent: {}\r\n", traceparent())), TRACE);
    assert_ne!(send(""), TRACE);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_line_of_a_stream_says_whose_it_was() {
    let scene = scene("").await;
    let request = subscription("session-1", &SubscribeOptions::default());
    let body = encode(&request, Codec::Json);
    let mut raw = Raw::connect(scene.gateway.address("edge"));
    raw.send(format!(
        "POST /events/sse HTTP/1.1\r\nHost: a\r\nUser-Agent: phone\r\ntraceparent: {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        traceparent(),
        body.len()
    ))
    .send(body);
    raw.until(b"server_time");
    drop(raw);
    let line = scene.gateway.access_line(|line| line["route"] == "sse");
    for (field, value) in [
        ("client_request_id", request.request_id.as_str()),
        ("trace_id", TRACE),
        ("session", SESSION),
        ("user_agent", "phone"),
        ("message_type", "gateway.subscribe"),
    ] {
        assert_eq!(line[field], value, "{field}: {line}");
    }
    assert!(line["user"].is_string(), "{line}");
}

#[test]
fn a_line_of_the_process_log_says_when_and_where() {
    let backend = Backend::start(|_| Reply::json(200, "{}"));
    let mut gateway = Gateway::start(&forwards(&backend));
    gateway.signal("TERM");
    gateway.ended();
    let line = eventually("a line", || gateway.logged(|line| line["message"] == "draining"));
    assert!(is_of(&line, &gateway, "gw-7") && line["level"] == "INFO", "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lookups_answer_that_cannot_be_used_is_named() {
    for (reply, fault, detail) in [
        (Reply::json(200, r#"{"user_id":"u","status":"active"}"#), "answer_malformed", "lacks `device_session_id`"),
        (
            Reply::json(200, r#"{"device_session_id":"session-1","user_id":"u","status":"active"}"#),
            "answer_malformed",
            "lacks `client_public_key`",
        ),
        (Reply::json(200, "<html>"), "answer_not_json", "no JSON"),
        (Reply::json(302, "{}"), "answer_status", "302, and redirects are not followed"),
        (Reply::json(500, "{}"), "answer_status", "500"),
        (Reply::json(200, "x".repeat(2 << 20)), "answer_too_large", "more than"),
    ] {
        let backend = Backend::start(move |_| reply.clone());
        let gateway = Gateway::start(&edge_yaml(&backend));
        let request = device("session-1").sign(&command("user.account.get", ""));
        let outcome = send(&gateway, (Protocol::Connect, Codec::Proto), &request).await;
        let refused = refused(outcome);
        assert_eq!(refused.reason.as_deref(), Some("SESSION_LOOKUP_UNAVAILABLE"));
        assert!(!refused.message.contains(detail), "the client is told: {}", refused.message);
        let line = gateway.access_line(|line| line["reason"] == "SESSION_LOOKUP_UNAVAILABLE");
        assert!(line["fault"] == fault && line["fault_detail"].as_str().unwrap().contains(detail), "{line}");
        let said = "a session lookup gave no usable answer";
        let line = eventually(said, || gateway.logged(|line| line["message"] == said));
        assert!(line["level"] == "WARN" && line["sessions"] == "devices" && line["upstream"] == "backend", "{line}");
        assert!(line["fault"] == fault && line["detail"].as_str().unwrap().contains(detail), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commands_answer_that_cannot_be_signed_is_named() {
    let backend = backend();
    let gateway = Gateway::start(&edge_yaml(&backend));
    for (message_type, detail) in [("test.broken", "500"), ("test.moved", "302, and redirects are not followed")] {
        let request = device("session-1").sign(&command(message_type, ""));
        let outcome = send(&gateway, (Protocol::Connect, Codec::Proto), &request).await;
        assert_eq!(refused(outcome).reason.as_deref(), Some("BACKEND_UNAVAILABLE"));
        let line = gateway.access_line(|line| line["message_type"] == message_type);
        assert_eq!(line["fault"], "answer_status", "{line}");
        assert_eq!(line["fault_detail"], format!("the answer's status is {detail}"));
    }
}

#[test]
fn a_refused_reload_names_file_line_and_column_apart() {
    let backend = Backend::start(|_| Reply::json(200, "{}"));
    let gateway = Gateway::start(&forwards(&backend));
    let broken = forwards(&backend).replace("forward: backend", "forward: backnd").replace("/*", "*");
    fs::write(gateway.config(), broken).unwrap();
    gateway.signal("HUP");
    let said = "the configuration is not taken up";
    let line =
        eventually(said, || gateway.logged(|line| line["message"] == said && line["path"] == "/routes/0/forward"));
    assert_eq!((&line["line"], &line["level"], &line["by"]), (&8.into(), &"ERROR".into(), &"SIGHUP".into()), "{line}");
    assert_eq!(line["file"].as_str(), gateway.config().to_str());
    assert!(line["column"].as_u64().is_some_and(|column| column > 1) && line["problems"] == 2, "{line}");
    assert!(line["problem"].as_str().unwrap().contains("`backnd`"), "{line}");
    assert!(line["remedy"].as_str().unwrap().contains("`backend`"), "{line}");
    assert!(!line.to_string().contains("\\n"), "{line}");
}

#[test]
fn a_drain_says_what_it_began_with_and_how_it_ended() {
    let backend = Backend::start(|_| Reply::json(200, "{}").after(Duration::from_secs(30)));
    let yaml = forwards(&backend).replace("deadline: 10s", "deadline: 500ms");
    for (is_left, end) in [(false, "drained"), (true, "drained in part: what is left is cut")] {
        let mut gateway = Gateway::start(&yaml);
        let mut raw = Raw::connect(gateway.address("public"));
        if is_left {
            raw.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
            eventually("the request", || (!backend.seen_at("/slow").is_empty()).then_some(()));
        } else {
            drop(raw);
        }
        gateway.signal("TERM");
        gateway.ended();
        let line = eventually("the beginning", || gateway.logged(|line| line["message"] == "draining"));
        assert!(!is_left || (line["requests"] == 1 && line["connections"] == 1), "{line}");
        let line = eventually(end, || gateway.logged(|line| line["message"] == end));
        assert!(line["took_ms"].is_u64(), "{line}");
        assert!(!is_left || (line["requests_cut"] == 1 && line["connections_cut"] == 1), "{line}");
    }
}
