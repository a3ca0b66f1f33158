//! Whoever reloads knows before what changes, and cuts no stream that it did not mean to.

mod differences;
mod foreseen;
mod many;
mod others;

use crate::kit::{
    backend::{Backend, Reply},
    device::answer,
    events::{Scene, after, resumed, scene_with},
    gateway::{Gateway, portcullis},
    soon,
    websocket::Socket,
};
use portcullis::client::{Codec, Protocol};
use proto::edge::v1::SubscribeOptions;
use std::{fs, process::Output};
use tokio::sync::watch;

const GRPC: (Protocol, Codec) = (Protocol::Grpc, Codec::Proto);

/// A gateway with this under `reload`, beside that it is to be told.
async fn scene(reload: &str) -> Scene {
    scene_with("", |yaml| format!("{yaml}reload: {{ watch: false{reload} }}\n")).await
}

fn reload_with(gateway: &Gateway, arguments: &[&str]) -> Output {
    let admin = format!("http://{}", gateway.address("admin"));
    portcullis().args(["reload", "--admin", &admin]).args(arguments).output().unwrap()
}

/// Replaces one text in the configuration by another. Nothing is taken up by it.
fn write(gateway: &Gateway, from: &str, to: &str) {
    let yaml = fs::read_to_string(gateway.config()).unwrap();
    assert!(yaml.contains(from), "{from} is not in {yaml}");
    fs::write(gateway.config(), yaml.replace(from, to)).unwrap();
}

/// The same, taken up.
fn change(gateway: &Gateway, from: &str, to: &str) {
    write(gateway, from, to);
    let output = reload_with(gateway, &[]);
    assert!(output.status.success(), "{output:?}");
}

/// What the gateway says of the streams of a route.
fn on_route(scene: &Scene, route: &str) -> usize {
    scene.metric(&format!(r#"portcullis_route_streams{{route="{route}"}}"#)) as usize
}

async fn socket(scene: &Scene, session: &str) -> Socket {
    let mut socket = Socket::subscribe(scene, Codec::Proto, session, SubscribeOptions::default()).await;
    assert!(resumed(&socket.event().await));
    socket
}

/// A route that is more specific than the one that has been there.
const OWN: &str = "routes:\n  - { name: own, match: { path: /events/ws }, chain: signed_edge, websocket: player }\n  - { name: public";

const CHANGED: (u16, &str) = (4014, "ROUTE_CHANGED");

async fn is_closed(socket: &mut Socket, (code, reason): (u16, &str)) {
    assert_eq!(socket.closed().await, (code, reason.to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_routes_that_stay_live_through_every_reload() {
    let scene = scene(", streams: cut").await;
    let mut grpc = scene.open(GRPC, "session-1", SubscribeOptions::default()).await;
    assert!(resumed(&grpc.event().await));
    let mut socket = socket(&scene, "session-2").await;
    let mut before = "version: 1\n".to_owned();
    for round in 0..20 {
        let elsewhere = format!("version: 1\nshut: [/r{round}/]\n");
        change(&scene.gateway, &before, &elsewhere);
        before = elsewhere;
        // What the route does beside its streams.
        let (from, to) =
            if round % 2 == 0 { ("user.account.get:", "user.get:") } else { ("user.get:", "user.account.get:") };
        change(&scene.gateway, from, to);
        let position = format!("p{round}");
        scene.push.event("user-1", "k", "{}", &position);
        assert_eq!(grpc.event().await.position, position);
        assert_eq!(socket.event().await.position, position);
    }
    assert_eq!((on_route(&scene, "edge"), on_route(&scene, "ws")), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_kept_where_the_same_request_would_find_the_same() {
    let scene = scene("").await;
    let mut grpc = scene.open(GRPC, "session-1", SubscribeOptions::default()).await;
    assert!(resumed(&grpc.event().await));
    let mut socket = socket(&scene, "session-2").await;
    let mut position = 0;
    for (from, to, on) in [
        // Its chain.
        ("100000/10s", "100001/10s", "ws"),
        // What it is called.
        ("name: ws,", "name: socket,", "socket"),
        // What it takes.
        ("path: /events/ws }", "path: \"/events/{kind}\" }", "socket"),
        // What finds it.
        ("routes:\n  - { name: public", OWN, "socket"),
        ("path: \"/events/{kind}\" }", "path: /nowhere }", "own"),
    ] {
        change(&scene.gateway, from, to);
        position += 1;
        scene.push.event("user-1", "k", "{}", &format!("p{position}"));
        assert_eq!(grpc.event().await.position, format!("p{position}"), "{to}");
        assert_eq!(socket.event().await.position, format!("p{position}"), "{to}");
        assert_eq!((on_route(&scene, "edge"), on_route(&scene, on)), (1, 1), "{to}");
    }
    change(
        &scene.gateway,
        "signed_edge, websocket: player }\n  - { name: public",
        "signed_edge, sse: player }\n  - { name: public",
    );
    is_closed(&mut socket, CHANGED).await;
    scene.push.event("user-1", "k", "{}", "last");
    assert_eq!(grpc.event().await.position, "last", "what carries it has not changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_route_and_comes_back_to_what_is_there() {
    for (reload, from, to) in [
        // Nothing serves it any more.
        ("", "path: /events/ws }", "path: /elsewhere }"),
        ("", "path: /events/ws }", "path: /events/ws, host: other.example.com }"),
        ("", "shut: []", "shut: [/events/ws]"),
        (", streams: { drain: 1s }", "100000/10s", "100001/10s"),
        (", streams: cut", "100000/10s", "100001/10s"),
    ] {
        let scene = scene(reload).await;
        change(&scene.gateway, "version: 1\n", "version: 1\nshut: []\n");
        let mut socket = socket(&scene, "session-1").await;
        scene.push.event("user-1", "k", "{}", "p1");
        assert_eq!(socket.event().await.position, "p1");
        change(&scene.gateway, from, to);
        is_closed(&mut socket, CHANGED).await;
        scene.push.event("user-1", "k", "{}", "p2");
        let mut grpc = scene.open(GRPC, "session-1", after("p1")).await;
        assert!(resumed(&grpc.event().await), "{to}");
        assert_eq!(grpc.event().await.position, "p2", "{to}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_gone_or_another_takes_its_streams_along() {
    let scene = scene(", max_streams_cut: 2").await;
    let mut grpc = scene.open(GRPC, "session-1", SubscribeOptions::default()).await;
    assert!(resumed(&grpc.event().await));
    let mut socket = socket(&scene, "session-2").await;
    scene.push.event("user-1", "k", "{}", "p1");
    assert_eq!(socket.event().await.position, "p1");
    change(&scene.gateway, "events: { player: { feed: {", "events: { player: { heartbeat: 9s, feed: {");
    scene.push.event("user-1", "k", "{}", "p2");
    is_closed(&mut socket, CHANGED).await;
    let end = grpc.end().await;
    assert!(end.contains("\"14\""), "{end}");
    let mut again = scene.open(GRPC, "session-1", after("p1")).await;
    assert!(resumed(&again.event().await), "what the one before has held is held on");
    assert_eq!(again.event().await.position, "p2");
    change(&scene.gateway, "heartbeat: 9s, feed: {", "heartbeat: 9s, feed: { gateway_client_id: another,");
    assert!(again.end().await.contains("\"14\""));
    let mut gap = scene.open(GRPC, "session-1", after("p1")).await;
    assert!(!resumed(&gap.event().await), "what another feed has brought is another thing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_opens_behind_a_reload_is_held_against_it() {
    let scene = scene(", streams: cut").await;
    let (gate, is_open) = watch::channel(false);
    let slow = Backend::start(move |seen| answer(seen).when(&is_open));
    let other = format!("upstreams:\n  slow: {{ endpoints: [\"http://{}\"] }}\n  backend:", slow.address);
    write(&scene.gateway, "upstreams:\n  backend:", &other);
    change(&scene.gateway, "devices: { upstream: backend", "devices: { timeout: 1m, upstream: slow");
    let mut socket = Socket::subscribe(&scene, Codec::Proto, "session-1", SubscribeOptions::default()).await;
    soon("the look-up", || (slow.seen_at("/api/v1/internal/sessions/session-1").len() == 1).then_some(())).await;
    change(&scene.gateway, "100000/10s", "100001/10s");
    gate.send_replace(true);
    is_closed(&mut socket, CHANGED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_session_is_none_any_more_is_not_kept() {
    let scene = scene("").await;
    let mut streams = Vec::new();
    for session in ["session-1", "session-2"] {
        streams.push(socket(&scene, session).await);
    }
    let elsewhere = Backend::start(|seen| match seen.target.ends_with("/session-2") {
        true => Reply::json(404, "{}"),
        false => answer(seen),
    });
    let other = format!("upstreams:\n  other: {{ endpoints: [\"http://{}\"] }}\n  backend:", elsewhere.address);
    write(&scene.gateway, "upstreams:\n  backend:", &other);
    change(&scene.gateway, "devices: { upstream: backend", "devices: { upstream: other");
    is_closed(&mut streams[1], (4009, "SESSION_REVOKED")).await;
    soon("the other's look-up", || (elsewhere.seen_at("/api/v1/internal/sessions/session-1").len() == 1).then_some(()))
        .await;
    scene.push.event("user-1", "k", "{}", "p1");
    assert_eq!(streams[0].event().await.position, "p1");
}
