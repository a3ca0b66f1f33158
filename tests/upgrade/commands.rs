//! What was signed before the new process began is taken by it, and taken once, where the store is shared.

use super::is_upgraded;
use crate::kit::{
    device::{backend, command, device, edge_yaml, refused, send},
    gateway::Gateway,
    redis::Redis,
};
use portcullis::client::{Codec, Protocol};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use tokio::task::block_in_place;

const DIALECT: (Protocol, Codec) = (Protocol::Grpc, Codec::Proto);

#[tokio::test(flavor = "multi_thread")]
async fn no_signed_command_is_lost_or_taken_twice_with_a_shared_store() {
    let (backend, redis) = (backend(), Redis::start());
    let store = format!(r#"stores: {{ main: {{ redis: {{ url: "{}", command_timeout: 5s }} }} }}"#, redis.url());
    let yaml = edge_yaml(&backend)
        .replace("stores: { main: { memory: {} } }", &store)
        .replace("20/10s", "100000/10s")
        .replace("1000/1m", "100000/1m")
        .replace("read: 1s, request: 2s", "read: 10s, request: 20s");
    let gateway = Gateway::start(&yaml);
    let (is_over, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
    let before = device("session-1").sign(&command("user.account.get", ""));
    let waiting = device("session-1").sign(&command("user.account.get", ""));
    send(&gateway, DIALECT, &before).await.unwrap();
    let sending = async {
        while !is_over.load(Relaxed) {
            let request = device("session-1").sign(&command("user.account.get", ""));
            send(&gateway, DIALECT, &request).await.unwrap();
            sent.fetch_add(1, Relaxed);
        }
    };
    let upgrading = async {
        for _ in 0..3 {
            let before = sent.load(Relaxed);
            block_in_place(|| is_upgraded(&gateway));
            while sent.load(Relaxed) == before {
                tokio::task::yield_now().await;
            }
        }
        is_over.store(true, Relaxed);
    };
    tokio::join!(sending, upgrading);
    let again = refused(send(&gateway, DIALECT, &before).await);
    assert_eq!(again.reason.as_deref(), Some("REQUEST_REPLAYED"));
    send(&gateway, DIALECT, &waiting).await.expect("it was signed ahead of the upgrades, and never sent");
}
