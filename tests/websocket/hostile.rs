//! Whatever a client sends instead of its request has a close code of its own, and costs little.

use crate::kit::{
    events::{Scene, encode, scene, scene_with, subscription},
    eventually,
    raw::Raw,
    websocket::{close, frame, handshake, next_frame, upgraded},
};
use portcullis::client::Codec;
use proto::edge::v1::SubscribeOptions;

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

fn request() -> Vec<u8> {
    encode(&subscription("session-1", &SubscribeOptions::default()), Codec::Proto)
}

fn subscribed(scene: &Scene) -> Raw {
    let mut raw = upgraded(scene.gateway.address("edge"), "/events/ws");
    raw.send(frame(BINARY, &request()));
    assert_eq!(next_frame(&mut raw).0, BINARY);
    raw
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_break_the_protocol_are_closed_with_its_codes() {
    let scene = scene("").await;
    let huge = [&[BINARY, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0][..], b"mask"].concat();
    let beyond_limit = [frame(0x02, &[7; 40_000]), frame(0x80, &[7; 40_000])].concat();
    let cases: [(&str, Vec<u8>, u16, &str); 14] = [
        ("unmasked", vec![TEXT, 2, b'{', b'}'], 1002, "REQUEST_MALFORMED"),
        ("a reserved bit", frame(TEXT | 0x40, b"{}"), 1002, "REQUEST_MALFORMED"),
        ("a reserved opcode", frame(0x83, b""), 1002, "REQUEST_MALFORMED"),
        ("a reserved control", frame(0x8b, b""), 1002, "REQUEST_MALFORMED"),
        ("a long ping", frame(PING, &[0; 126]), 1002, "REQUEST_MALFORMED"),
        ("a fragmented ping", frame(PING & 0x7f, b""), 1002, "REQUEST_MALFORMED"),
        ("nothing to go on with", frame(0x80, b""), 1002, "REQUEST_MALFORMED"),
        ("a message in a message", [frame(0x01, b"{"), frame(TEXT, b"}")].concat(), 1002, "REQUEST_MALFORMED"),
        ("a close of one byte", frame(CLOSE, b"\x03"), 1002, "REQUEST_MALFORMED"),
        ("no text", frame(TEXT, b"\xff"), 1007, "REQUEST_MALFORMED"),
        ("a close that is no text", frame(CLOSE, b"\x03\xe8\xff"), 1007, "REQUEST_MALFORMED"),
        ("2^63", huge, 1009, "MESSAGE_TOO_LARGE"),
        ("a message beyond the limit", beyond_limit, 1009, "MESSAGE_TOO_LARGE"),
        ("another protocol", b"GET / HTTP/1.1\r\nHost: edge\r\n\r\n".to_vec(), 1002, "REQUEST_MALFORMED"),
    ];
    for (what, bytes, code, reason) in cases {
        let mut raw = upgraded(scene.gateway.address("edge"), "/events/ws");
        assert_eq!(close(raw.send(&bytes)), (code, reason.to_owned()), "{what}");
        assert_eq!(raw.close_write().rest(), b"", "nothing follows: {what}");
    }
    let line = scene.gateway.access_line(|line| line["reason"] == "MESSAGE_TOO_LARGE");
    assert_eq!((&line["route"], &line["status"]), (&"ws".into(), &101.into()));
    assert!(!scene.gateway.has_panicked());
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_subscription_the_same_holds() {
    let scene = scene("").await;
    for (bytes, code, reason) in [
        (vec![PING, 0], 1002, "REQUEST_MALFORMED"),
        (frame(PING, &[0; 126]), 1002, "REQUEST_MALFORMED"),
        (frame(TEXT, b""), 4003, "REQUEST_MALFORMED"),
        (frame(0x01, b"the beginning of a message"), 4003, "REQUEST_MALFORMED"),
        ([&[BINARY, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0][..], b"mask"].concat(), 1009, "MESSAGE_TOO_LARGE"),
    ] {
        let mut raw = subscribed(&scene);
        assert_eq!(close(raw.send(&bytes)), (code, reason.to_owned()), "{bytes:?}");
    }
    // What came with the request is not lost.
    let mut raw = upgraded(scene.gateway.address("edge"), "/events/ws");
    raw.send([frame(BINARY, &request()), frame(PING, b"!"), frame(CLOSE, b"\x03\xe8")].concat());
    let mut firsts: Vec<u8> = (0..2).map(|_| next_frame(&mut raw).0).collect();
    firsts.retain(|first| *first != BINARY);
    assert_eq!(firsts.first(), Some(&PONG));
    // Nor what came ahead of the answer, for which a client should have waited (RFC 6455 section 4.1).
    let mut raw = Raw::connect(scene.gateway.address("edge"));
    raw.send([handshake("/events/ws", "").as_bytes(), &frame(BINARY, &request())].concat());
    assert_eq!(raw.answer().status, 101);
    assert_eq!(next_frame(&mut raw).0, BINARY);
    drop(raw);
    scene.streams(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_is_dead_holds_nothing() {
    let scene = scene_with(", queue: { events: 4 }", |yaml| yaml + "\nconnections: { write: 1s }\n").await;
    let dead = subscribed(&scene);
    let payload = "*".repeat(512 << 10);
    let too_slow = || scene.metric(r#"portcullis_event_hub_total{events="player",what="too_slow"}"#);
    let mut sent = 0;
    eventually("the end of what waits for it", || {
        sent += 1;
        scene.push.event("user-1", "large", &payload, &format!("c{sent}"));
        (too_slow() == 1.0).then_some(())
    });
    scene.streams(0);
    drop(dead);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_ended_does_not_stay_because_it_is_not_read() {
    // A write may take 30 s, which is longer than is waited for here; the second one's queue is never full.
    for (options, is_stuck) in [(", queue: { events: 4 }", 1.0), (", queue: { events: 256, bytes: 128MiB }", 0.0)] {
        let scene = scene_with(options, |yaml| yaml).await;
        let dead = subscribed(&scene);
        // More than the buffers of a connection hold.
        let payload = "*".repeat(512 << 10);
        for sent in 0..48 {
            scene.push.event("user-1", "large", &payload, &format!("c{sent}"));
        }
        let pushed = || scene.metric(r#"portcullis_event_hub_total{events="player",what="events"}"#);
        eventually("the events", || (pushed() == 48.0).then_some(()));
        let too_slow = scene.metric(r#"portcullis_event_hub_total{events="player",what="too_slow"}"#);
        assert_eq!(too_slow, is_stuck, "{options}");
        scene.push.revoke("session-1", "r1");
        scene.streams(0);
        drop(dead);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_may_come_in_fragments_of_one_byte() {
    let scene = scene("").await;
    let mut raw = upgraded(scene.gateway.address("edge"), "/events/ws");
    let request = request();
    let (last, ahead) = request.split_last().unwrap();
    raw.send(frame(0x02, b""));
    for byte in ahead {
        raw.send(frame(0x00, &[*byte]));
    }
    raw.send(frame(PING, b"between")).send(frame(0x80, &[*last]));
    assert_eq!(next_frame(&mut raw), (PONG, b"between".to_vec()));
    assert_eq!(next_frame(&mut raw).0, BINARY);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_that_says_nothing_is_refused() {
    let scene = scene("").await;
    let fragments = |first: Vec<u8>| [first, frame(0x00, b"").repeat(90_000)].concat();
    for (what, flood) in [
        ("pings", frame(PING, b"").repeat(20_000)),
        ("large pings", frame(PING, &[7; 125]).repeat(1_000)),
        ("pongs", frame(PONG, b"").repeat(20_000)),
        ("fragments of nothing", fragments(frame(0x01, b""))),
    ] {
        let mut ahead = upgraded(scene.gateway.address("edge"), "/events/ws");
        assert_eq!(close(ahead.send(&flood)), (4008, "BUDGET_EXHAUSTED".to_owned()), "{what} ahead of the request");
        let mut behind = subscribed(&scene);
        assert_eq!(close(behind.send(&flood)), (4008, "BUDGET_EXHAUSTED".to_owned()), "{what} behind it");
    }
    scene.streams(0);
    assert!(!scene.gateway.has_panicked());
}
