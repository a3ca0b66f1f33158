//! A stream of events that was accepted leaves the proxy, and nothing that holds for a request is lost with that: it is
//! counted and logged once, when it is over; its connection lives as long as it does; and its client is watched.

use crate::kit::{
    events::{Scene, encode, scene, scene_with, subscription},
    eventually,
    frames::Frames,
    raw::Raw,
};
use portcullis::client::Codec;
use proto::edge::v1::SubscribeOptions;

const DATA: u8 = 0;
const GOAWAY: u8 = 7;
const IN_FLIGHT: &str = "portcullis_requests_in_flight";
const TO_SSE: &str = r#"portcullis_requests_total{route="sse",status="2xx"}"#;

fn request() -> Vec<u8> {
    encode(&subscription("session-1", &SubscribeOptions::default()), Codec::Json)
}

/// An open stream over HTTP/1.1, and the head of its answer.
fn open(scene: &Scene) -> (Raw, String) {
    let body = request();
    let head = format!(
        "POST /events/sse HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = Raw::connect(scene.gateway.address("edge"));
    let head = stream.send([head.as_bytes(), &body].concat()).until(b"\r\n\r\n").expect("a head");
    stream.until(b"\n\n").expect("a first event");
    (stream, String::from_utf8(head).unwrap().to_ascii_lowercase())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_counted_and_logged_once_when_it_is_over() {
    let scene = scene("").await;
    let (stream, head) = open(&scene);
    assert!(head.starts_with("http/1.1 200") && head.contains("\r\ntransfer-encoding: chunked\r\n"), "{head}");
    // Whoever asks is in flight too.
    assert_eq!((scene.metric(IN_FLIGHT), scene.metric(TO_SSE)), (2.0, 0.0));
    drop(stream);
    scene.streams(0);
    let line = scene.gateway.access_line(|line| line["route"] == "sse");
    for (field, value) in [
        ("listener", "edge"),
        ("method", "POST"),
        ("path", "/events/sse"),
        ("protocol", "HTTP/1.1"),
        ("client_ip", "127.0.0.1"),
        ("message_type", "gateway.subscribe"),
    ] {
        assert_eq!(line[field], value, "{line}");
    }
    assert_eq!((&line["status"], &line["reason"]), (&200.into(), &serde_json::Value::Null));
    assert!(line["bytes_in"].as_u64() > Some(200) && line["bytes_out"].as_u64() > Some(200), "{line}");
    eventually("the end of all but the question", || (scene.metric(IN_FLIGHT) == 1.0).then_some(()));
    assert_eq!(scene.metric(TO_SSE), 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_of_http1_serves_nothing_after_a_stream() {
    let scene = scene("").await;
    let (mut stream, head) = open(&scene);
    assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
    // What comes ahead of its end does not hide that.
    stream.send("GET /events/sse HTTP/1.1\r\nHost: a\r\n\r\n").close_write();
    scene.streams(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_on_sending_is_cut_off() {
    let scene = scene("").await;
    let (mut stream, _) = open(&scene);
    stream.send(vec![b'x'; 16 << 10]);
    scene.push.event("user-1", "count", "more", "1");
    assert!(String::from_utf8_lossy(&stream.until(b"\n\n").expect("an event")).contains("data: "));
    stream.send(vec![b'x'; 64 << 10]);
    scene.streams(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_of_http2_is_not_idle_while_a_stream_is_open() {
    let scene =
        scene_with(", heartbeat: 1s", |yaml| yaml.replace("\nroutes:", "\nconnections: { keepalive: 1s }\nroutes:"))
            .await;
    let mut frames = Frames::connect(scene.gateway.address("edge"));
    frames.post(1, "/events/sse", &request());
    frames.end(1);
    let mut heartbeats = 0;
    while heartbeats < 4 {
        let frame = frames.next().expect("a stream that goes on");
        assert_ne!(frame.kind, GOAWAY, "{frame:?}");
        heartbeats += usize::from(frame.kind == DATA && frame.payload.starts_with(b":"));
    }
    scene.push.revoke("session-1", "1");
    let is_goodbye = |frame: &crate::kit::frames::Frame| frame.kind == GOAWAY;
    assert!(frames.any(|frame| is_goodbye(&frame)), "then it is");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_waits_for_a_stream_that_is_being_told() {
    let mut scene = scene_with("", |yaml| yaml.replace("delay: 1s", "delay: 0s")).await;
    let (mut stream, _) = open(&scene);
    scene.gateway.signal("TERM");
    let end = String::from_utf8(stream.rest()).unwrap();
    assert!(end.contains("GATEWAY_SHUTTING_DOWN") && end.ends_with("0\r\n\r\n"), "{end}");
    assert_eq!(scene.gateway.ended().code(), Some(0));
    let line = scene.gateway.access_line(|line| line["route"] == "sse");
    assert_eq!(line["reason"], "GATEWAY_SHUTTING_DOWN");
}
