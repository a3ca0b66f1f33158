//! At a stop, what has begun is finished and what stalls is ended: no answer is cut, and nobody holds the process up.

use crate::kit::{
    backend::{Backend, Reply},
    device::edge_yaml,
    eventually,
    frames::Frames,
    gateway::Gateway,
    raw::Raw,
};
use std::time::Duration;

fn yaml(backend: &Backend) -> String {
    format!(
        r#"
version: 1
listeners:
  public: {{ bind: "127.0.0.1:0" }}
  admin: {{ bind: "127.0.0.1:0", admin: true }}
connections: {{ body_idle: 1s }}
upstreams: {{ backend: {{ endpoints: ["http://{}"], timeouts: {{ read: 5s, request: 60s }} }} }}
routes: [ {{ name: api, match: {{ path: "/*" }}, forward: backend }} ]
drain: {{ delay: 0s, deadline: 60s }}
"#,
        backend.address
    )
}

/// A backend that takes a second for `/slow`.
fn backend() -> Backend {
    Backend::start(|seen| Reply::json(200, "{}").after(Duration::from_secs(if seen.target == "/slow" { 1 } else { 0 })))
}

/// Waits until so many requests are in flight.
fn in_flight(gateway: &Gateway, requests: usize) {
    eventually("requests in flight", || {
        let metrics = Raw::connect(gateway.address("admin")).send("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").answer();
        let metrics = String::from_utf8(metrics.body).unwrap();
        let count = metrics.lines().find_map(|line| line.strip_prefix("portcullis_requests_in_flight "))?;
        // The one that asks is among them.
        (count.parse::<usize>().unwrap() == requests + 1).then_some(())
    });
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;

#[test]
fn http2_requests_in_flight_are_answered_after_a_goaway() {
    let backend = backend();
    let mut gateway = Gateway::start(&yaml(&backend));
    let mut frames = Frames::connect(gateway.address("public"));
    for stream in [1, 3, 5] {
        frames.get(stream, "/slow");
    }
    in_flight(&gateway, 3);
    gateway.signal("TERM");
    let all: Vec<_> = frames.collect();
    let goaway = all.iter().position(|frame| frame.kind == GOAWAY).expect("a GOAWAY");
    // RFC 9113 section 6.8: no error, and nothing that was sent is lost.
    assert!(all.iter().filter(|frame| frame.kind == GOAWAY).all(|frame| frame.payload[4..8] == [0; 4]), "{all:?}");
    let answered: Vec<_> = all.iter().filter(|frame| frame.kind == HEADERS).collect();
    assert_eq!(answered.len(), 3, "{all:?}");
    assert!(answered.iter().all(|frame| frame.payload[0] == 0x88), "{answered:?}");
    assert_eq!(all.iter().filter(|frame| frame.kind == DATA && frame.flags & END_STREAM != 0).count(), 3, "{all:?}");
    assert!(goaway < all.iter().position(|frame| frame.kind == HEADERS).unwrap(), "{all:?}");
    assert_eq!(gateway.ended().code(), Some(0));
}

#[test]
fn an_idle_http2_connection_is_told() {
    let backend = backend();
    let mut gateway = Gateway::start(&yaml(&backend));
    let mut frames = Frames::connect(gateway.address("public"));
    frames.get(1, "/quick");
    assert!(frames.by_ref().any(|frame| frame.flags & END_STREAM != 0));
    gateway.signal("TERM");
    assert!(frames.any(|frame| frame.kind == GOAWAY));
    assert_eq!(gateway.ended().code(), Some(0));
    // Not by the deadline, though this client never closes.
    assert!(!gateway.has_logged("the drain deadline is over"));
}

#[test]
fn a_kept_connection_is_answered_once_more_and_told() {
    let backend = backend();
    let mut gateway = Gateway::start(&yaml(&backend));
    let (mut kept, mut idle) = (Raw::connect(gateway.address("public")), Raw::connect(gateway.address("public")));
    let connection = |raw: &mut Raw| {
        let answer = raw.send("GET /quick HTTP/1.1\r\nHost: a\r\n\r\n").answer();
        assert_eq!(answer.status, 200);
        answer.header("connection")
    };
    for raw in [&mut kept, &mut idle] {
        assert_eq!(connection(raw).as_deref(), Some("keep-alive"));
    }
    gateway.signal("TERM");
    eventually("the last answer", || connection(&mut kept).filter(|connection| connection == "close"));
    assert_eq!((kept.rest(), idle.rest()), (Vec::new(), Vec::new()));
    assert_eq!(gateway.ended().code(), Some(0));
    assert!(!gateway.has_logged("the drain deadline is over"));
}

/// What the client does not take at once waits in the gateway and in the kernel, long after the request is served.
#[test]
fn a_slow_reader_gets_all_of_its_answer() {
    for kib in [100, 1000, 3000, 9000] {
        let backend = Backend::start(move |_| Reply::json(200, "x".repeat(kib << 10)));
        let mut gateway = Gateway::start(&yaml(&backend));
        let mut frames = Frames::connect(gateway.address("public"));
        frames.get(1, "/large");
        let mut plain = Raw::connect(gateway.address("public"));
        plain.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
        eventually("both requests", || (backend.seen().len() == 2).then_some(()));
        gateway.signal("TERM");
        gateway.log_line("draining");
        let (mut bytes, mut is_whole) = (0, false);
        for frame in frames {
            if frame.kind == DATA {
                bytes += frame.payload.len();
                is_whole |= frame.flags & END_STREAM != 0;
                // Slower than what is left could go out by itself.
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        assert_eq!((bytes >> 10, is_whole), (kib, true));
        assert_eq!(plain.answer().body.len() >> 10, kib);
        assert_eq!(gateway.ended().code(), Some(0));
    }
}

const HEAD: &str = "Host: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{";

#[test]
fn a_stalled_upload_ends_by_its_own_time() {
    let backend = backend();
    let mut gateway = Gateway::start(&yaml(&backend).replace("read: 5s", "read: 500ms"));
    let mut raw = Raw::connect(gateway.address("public"));
    raw.send(format!("POST /a HTTP/1.1\r\n{HEAD}"));
    let mut frames = Frames::connect(gateway.address("public"));
    frames.post(1, "/a", b"{");
    in_flight(&gateway, 2);
    gateway.signal("TERM");
    assert_eq!(raw.answer().status, 408);
    // 408 has no entry of its own in HPACK's static table; what counts is that there is an answer.
    assert!(frames.any(|frame| frame.kind == HEADERS));
    assert_eq!(gateway.ended().code(), Some(0));
    assert!(!gateway.has_logged("the drain deadline is over"));
}

#[test]
fn a_stalled_command_ends_by_its_own_time() {
    let backend = backend();
    let drain = "connections: { body_idle: 1s }\ndrain: { delay: 0s, deadline: 60s }";
    let yaml = edge_yaml(&backend).replace("drain: { delay: 1s, deadline: 10s }", drain);
    let mut gateway = Gateway::start(&yaml);
    let mut raw = Raw::connect(gateway.address("edge"));
    raw.send(format!("POST /edge.v1.Gateway/ExecuteCommand HTTP/1.1\r\n{HEAD}"));
    let mut frames = Frames::connect(gateway.address("edge"));
    frames.post(1, "/edge.v1.Gateway/ExecuteCommand", b"{");
    in_flight(&gateway, 2);
    gateway.signal("TERM");
    assert_eq!(raw.answer().json()["code"], "deadline_exceeded");
    assert!(frames.any(|frame| frame.kind == HEADERS));
    assert_eq!(gateway.ended().code(), Some(0));
    assert!(!gateway.has_logged("the drain deadline is over"));
}

#[test]
fn what_takes_longer_than_the_deadline_is_cut() {
    let backend = backend();
    let yaml = yaml(&backend).replace("body_idle: 1s", "body_idle: 60s").replace("deadline: 60s", "deadline: 500ms");
    let mut gateway = Gateway::start(&yaml);
    let mut raw = Raw::connect(gateway.address("public"));
    raw.send(format!("POST /a HTTP/1.1\r\n{HEAD}"));
    in_flight(&gateway, 1);
    gateway.signal("TERM");
    assert_eq!(gateway.ended().code(), Some(0));
    gateway.log_line("the drain deadline is over");
    assert_eq!(raw.rest(), b"");
}
