//! What both logs say of a request and of the process: when, where, by whom, and under which ids.

use crate::kit::{
    backend::{Backend, Reply},
    device::{backend, command, device, edge_yaml},
    events::{encode, scene, subscription},
    eventually,
    gateway::Gateway,
    raw::Raw,
};
use portcullis::client::Codec;
use proto::edge::v1::SubscribeOptions;
use serde_json::Value;

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
