//! However many streams are open, reloads that change something else end none of them.

use super::{change, on_route};
use crate::kit::{
    events::{Scene, encode, scene_with, subscription},
    grpc::frame,
    rpc::{self, Caller, Dialect, Protocol},
    soon,
};
use http::Request;
use portcullis::client::Codec;
use proto::edge::v1::SubscribeOptions;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

const STREAMS_ON_A_CONNECTION: usize = 100;
/// Nothing but the test's own count is to limit it.
const NO_CAPS: &str = ", streams: { max: 50000, per_session: 50000, per_user: 50000, per_ip: 50000 }";

#[derive(Default)]
struct Seen {
    last: AtomicUsize,
    ended: AtomicUsize,
}

/// Opens a stream, and notes what comes on it.
async fn subscribe(caller: &Caller, session: &str, seen: &Arc<Seen>) {
    let dialect = Dialect(Protocol::Grpc, rpc::Codec::Proto);
    let request = Request::post("http://edge/edge.v1.Gateway/SubscribeEvents")
        .header("content-type", dialect.media_type())
        .header("te", "trailers");
    let mut pending = caller.send(dialect, request.body(()).unwrap(), false).await;
    let message = encode(&subscription(session, &SubscribeOptions::default()), Codec::Proto);
    pending.request.send_data(frame(0, &message), true).unwrap();
    let response = pending.response.await.unwrap();
    assert_eq!(response.status(), 200);
    let (mut body, seen) = (response.into_body(), Arc::clone(seen));
    tokio::spawn(async move {
        while let Some(Ok(data)) = body.data().await {
            drop(body.flow_control().release_capacity(data.len()));
            if data.windows(8).any(|window| window == b"the-last") {
                seen.last.fetch_add(1, Relaxed);
            }
        }
        seen.ended.fetch_add(1, Relaxed);
    });
}

async fn open(scene: &Scene, streams: usize) -> (Vec<Caller>, Arc<Seen>) {
    let (mut callers, seen) = (Vec::new(), Arc::default());
    for index in 0..streams {
        if index % STREAMS_ON_A_CONNECTION == 0 {
            callers.push(Caller::connect(scene.gateway.address("edge")).await);
        }
        subscribe(callers.last().unwrap(), &format!("session-{index}"), &seen).await;
    }
    (callers, seen)
}

/// So many streams through so many reloads that change other routes.
async fn none_is_cut(streams: usize, reloads: usize) {
    let scene = scene_with(NO_CAPS, |yaml| {
        yaml.replace("2000/1s", "1000000/1s").replace("1000/1m", "1000000/1m")
            + "reload: { watch: false, streams: cut, max_streams_cut: 0 }\n"
    })
    .await;
    let (_callers, seen) = open(&scene, streams).await;
    assert_eq!(on_route(&scene, "edge"), streams);
    let mut path = "/api/v1/public/*".to_owned();
    for round in 0..reloads {
        let other = format!("/api/v{round}/other/*");
        change(&scene.gateway, &path, &other);
        path = other;
    }
    assert_eq!(scene.metric(r#"portcullis_reloads_total{outcome="reloaded"}"#), reloads as f64);
    scene.push.event("user-1", "k", "{}", "the-last");
    soon("the event on every stream", || (seen.last.load(Relaxed) == streams).then_some(())).await;
    assert_eq!((seen.ended.load(Relaxed), on_route(&scene, "edge")), (0, streams));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_some_hundred_streams_none_is_cut() {
    none_is_cut(300, 10).await;
}

/// The figure: `cargo test --test main changes::many -- --ignored`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes"]
async fn of_ten_thousand_streams_none_is_cut() {
    none_is_cut(10_000, 100).await;
}
