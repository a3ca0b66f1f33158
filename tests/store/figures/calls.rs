//! A command is one call of the store.

use super::*;
use crate::kit::{
    device::{command, device, edge},
    eventually,
    gateway::Gateway,
};
use outages::{calls, edge_yaml};
use portcullis::client::{Client, Codec, Dialect, Protocol};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes of load: ops/bench/stores runs it"]
async fn a_command_with_replay_and_three_shared_budgets_is_one_call() {
    let (redis, backend) = (Redis::start(), crate::kit::device::backend());
    let gateway = Gateway::start(&edge_yaml(&backend, &redis.url()));
    let (client, endpoint, device) = (Client::default(), edge(&gateway), device("session-1"));
    let send = async || {
        let request = device.sign(&command("user.account.get", ""));
        client.call(&endpoint, Dialect::new(Protocol::Connect, Codec::Proto), &request).await
    };
    until("the first command", async || send().await.ok()).await;
    let count = || {
        // The same number before and after: no heartbeat came in between.
        eventually("a count between two heartbeats", || {
            let beats = || (calls(&gateway, "heartbeat"), redis.calls("evalsha"));
            let before = beats();
            (before == beats()).then(|| before.1 - before.0)
        })
    };
    let (before, commands) = (count(), 1000);
    for _ in 0..commands {
        send().await.unwrap();
    }
    let counted = count() - before;
    let what = format!("calls of Redis for {commands} commands, each with replay and three shared budgets");
    report(&what, &counted.to_string(), &commands.to_string(), counted == commands);
    assert_eq!(counted, commands);
}
