//! Over WebSocket a device subscribes with its first message, gets each event as a message, and is told by the close why
//! its stream ends and whether to come back.

mod handshake;
mod hostile;

use crate::kit::{
    device::device,
    events::{Scene, after, encode, resumed, scene, subscription},
    eventually,
    raw::Raw,
    websocket::{Socket, close, frame, next_frame, upgraded},
};
use futures_util::SinkExt as _;
use portcullis::client::{Codec, Command};
use proto::edge::v1::{ExecuteCommandRequest, SubscribeOptions};
use tokio_tungstenite::tungstenite::Message;

const CODECS: [Codec; 2] = [Codec::Proto, Codec::Json];

async fn subscribed(scene: &Scene, codec: Codec, session: &str) -> Socket {
    let mut socket = Socket::subscribe(scene, codec, session, SubscribeOptions::default()).await;
    assert!(resumed(&socket.event().await));
    socket
}

fn closed(code: u16, reason: &str) -> (u16, String) {
    (code, reason.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_in_the_codec_of_the_request_and_resume() {
    let scene = scene("").await;
    for (index, codec) in CODECS.into_iter().enumerate() {
        let mut socket = subscribed(&scene, codec, "session-1").await;
        let positions: Vec<String> = (0..3).map(|count| format!("c{index}-{count}")).collect();
        for position in &positions {
            scene.push.event("user-1", "count", r#"{"balance":1}"#, position);
            let event = socket.event().await;
            assert_eq!((event.event_type.as_str(), &event.position), ("count", position), "{codec:?}");
            assert_eq!((event.subject.as_str(), &event.payload_bytes[..]), ("user-1", &br#"{"balance":1}"#[..]));
        }
        // A client that leaves without a word is noticed.
        drop(socket);
        scene.streams(0);
        let mut socket = Socket::subscribe(&scene, codec, "session-1", after(&positions[0])).await;
        assert!(resumed(&socket.event().await), "{codec:?}");
        assert_eq!(socket.event().await.position, positions[1], "{codec:?}");
        assert_eq!(socket.event().await.position, positions[2], "{codec:?}");
        let mut lost = Socket::subscribe(&scene, codec, "session-1", after("gone")).await;
        assert!(!resumed(&lost.event().await), "{codec:?}");
        // One that closes is answered in kind.
        socket.client.close(None).await.unwrap();
        assert!(matches!(socket.next().await, Message::Close(_)));
        lost.client.close(None).await.unwrap();
        scene.streams(0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_event_comes_whole() {
    let scene = scene("").await;
    let mut socket = subscribed(&scene, Codec::Json, "session-1").await;
    let payload = "*".repeat(300_000);
    scene.push.event("user-1", "large", &payload, "c1");
    assert!(socket.event().await.payload_bytes == payload.as_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_session_is_closed_and_no_other() {
    let scene = scene("").await;
    let mut socket = subscribed(&scene, Codec::Json, "session-1").await;
    let mut other = subscribed(&scene, Codec::Proto, "session-2").await;
    scene.push.revoke("session-1", "r1");
    assert_eq!(socket.closed().await, closed(4009, "SESSION_REVOKED"));
    scene.push.event("user-1", "after", "{}", "c9");
    assert_eq!(other.event().await.position, "c9");
    let line = scene.gateway.access_line(|line| line["reason"] == "SESSION_REVOKED");
    let said = (&line["route"], &line["status"], &line["message_type"]);
    assert_eq!(said, (&"ws".into(), &101.into(), &"gateway.subscribe".into()));
    let mut refused = Socket::subscribe(&scene, Codec::Json, "session-1", SubscribeOptions::default()).await;
    assert_eq!(refused.closed().await, closed(4009, "SESSION_REVOKED"), "whatever the lookup says");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_request_is_closed_with_its_code_and_reason() {
    let scene = scene("").await;
    let good = || subscription("session-1", &SubscribeOptions::default());
    let used = good();
    let mut socket = Socket::connect(&scene, "/events/ws", &[]).await;
    socket.send(&used, Codec::Proto).await;
    socket.event().await;
    let stale = Command { timestamp_ms: 1_700_000_000_000, ..Command::new("gateway.subscribe", "").unwrap() };
    let other = Command::new("user.account.get", "{}").unwrap();
    let garbled = Command::new("gateway.subscribe", vec![0xff]).unwrap();
    let forged = ExecuteCommandRequest { signature: vec![7; 64].into(), ..good() };
    let refused: [(ExecuteCommandRequest, u16, &str); 8] = [
        (forged, 4016, "SIGNATURE_INVALID"),
        (used, 4006, "REQUEST_REPLAYED"),
        (device("session-1").sign(&stale), 4009, "REQUEST_STALE"),
        (device("session-1").sign(&other), 4012, "MESSAGE_TYPE_UNKNOWN"),
        (device("session-1").sign(&garbled), 4003, "PAYLOAD_INVALID"),
        (device("nobody").sign(&Command::new("gateway.subscribe", "").unwrap()), 4016, "SESSION_UNKNOWN"),
        (
            device("session-lost").sign(&Command::new("gateway.subscribe", "").unwrap()),
            4014,
            "SESSION_LOOKUP_UNAVAILABLE",
        ),
        (ExecuteCommandRequest::default(), 4003, "ENVELOPE_INVALID"),
    ];
    for ((request, code, reason), codec) in refused.into_iter().zip(CODECS.into_iter().cycle()) {
        let mut socket = Socket::connect(&scene, "/events/ws", &[]).await;
        socket.send(&request, codec).await;
        assert_eq!(socket.closed().await, closed(code, reason), "{codec:?}");
    }
    for message in [Message::text("{"), Message::binary(vec![0xff; 9]), Message::text("[]")] {
        let mut socket = Socket::connect(&scene, "/events/ws", &[]).await;
        socket.client.send(message.clone()).await.unwrap();
        assert_eq!(socket.closed().await, closed(4003, "ENVELOPE_INVALID"), "{message:?}");
    }
    scene.gateway.access_line(|line| line["reason"] == "SIGNATURE_INVALID" && line["stopped_by"] == "signature");
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_one_subscription_and_no_second() {
    let scene = scene("").await;
    for codec in CODECS {
        let mut socket = subscribed(&scene, codec, "session-1").await;
        socket.send(&subscription("session-1", &SubscribeOptions::default()), codec).await;
        assert_eq!(socket.closed().await, closed(4003, "REQUEST_MALFORMED"));
    }
    scene.streams(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_counted_whatever_carries_them() {
    let scene = scene(", streams: { per_session: 1 }").await;
    let socket = subscribed(&scene, Codec::Proto, "session-1").await;
    let mut second = Socket::subscribe(&scene, Codec::Proto, "session-1", SubscribeOptions::default()).await;
    assert_eq!(second.closed().await, closed(4008, "STREAMS_EXHAUSTED"));
    let request = encode(&subscription("session-1", &SubscribeOptions::default()), Codec::Json);
    let head = "POST /events/sse HTTP/1.1\r\nHost: edge\r\nContent-Type: application/json\r\n";
    let head = format!("{head}Content-Length: {}\r\n\r\n", request.len());
    let answer = Raw::connect(scene.gateway.address("edge")).send(head).send(request).answer();
    assert_eq!((answer.status, answer.json()["reason"].as_str().unwrap()), (429, "STREAMS_EXHAUSTED"));
    drop(socket);
    scene.streams(0);
    subscribed(&scene, Codec::Proto, "session-1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_consumer_is_ended_and_told_so() {
    let scene = scene(", queue: { events: 4 }").await;
    let mut slow = subscribed(&scene, Codec::Proto, "session-1").await;
    let mut quick = subscribed(&scene, Codec::Proto, "other-1").await;
    let payload = "*".repeat(512 << 10);
    let too_slow = || scene.metric(r#"portcullis_event_hub_total{events="player",what="too_slow"}"#);
    let mut sent = 0;
    eventually("the end of the slow one", || {
        sent += 1;
        scene.push.event("user-1", "large", &payload, &format!("c{sent}"));
        (too_slow() == 1.0).then_some(())
    });
    scene.push.event("user-2", "small", "{}", "small");
    assert_eq!(quick.event().await.position, "small", "another stream is not kept by it");
    assert_eq!(slow.closed().await, closed(4008, "CONSUMER_TOO_SLOW"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_client_is_asked_and_then_given_up() {
    let scene = scene("").await;
    let address = scene.gateway.address("edge");
    let mut mute = upgraded(address, "/events/ws/late");
    assert_eq!(close(&mut mute), closed(4004, "REQUEST_TIMEOUT"), "its request does not come");
    assert_eq!(mute.rest(), b"", "a close that is not answered is waited for no longer than a moment");

    let mut answering = Socket::connect(&scene, "/events/ws/idle", &[]).await;
    answering.send(&subscription("session-2", &SubscribeOptions::default()), Codec::Proto).await;
    answering.event().await;
    let answering = tokio::spawn(async move {
        // Reading answers pings. Three of them are more than the time that a silent one has.
        let mut pings = 0;
        while pings < 3 {
            pings += usize::from(matches!(answering.next().await, Message::Ping(_)));
        }
        answering
    });
    let mut silent = upgraded(address, "/events/ws/idle");
    silent.send(frame(0x82, &encode(&subscription("session-1", &SubscribeOptions::default()), Codec::Proto)));
    assert_eq!(next_frame(&mut silent).0, 0x82, "gateway.server_time");
    assert_eq!(next_frame(&mut silent), (0x89, Vec::new()), "a ping");
    assert_eq!(close(&mut silent), closed(4004, "REQUEST_TIMEOUT"));
    let mut answering = answering.await.unwrap();
    scene.push.event("user-1", "still", "{}", "c1");
    assert_eq!(answering.event().await.position, "c1");
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_streams_have_heartbeats_and_a_stop_closes_them() {
    let mut scene = scene(", heartbeat: 1s").await;
    let mut socket = subscribed(&scene, Codec::Json, "session-1").await;
    let heartbeat = socket.next().await;
    assert!(matches!(&heartbeat, Message::Text(text) if text.contains("gateway.heartbeat")), "{heartbeat:?}");
    scene.gateway.signal("TERM");
    assert_eq!(socket.closed().await, closed(1001, "GATEWAY_SHUTTING_DOWN"));
    drop(socket);
    assert!(scene.gateway.ended().success());
}
