//! Gateways that share a store refuse what one of them has accepted, hold callers to one budget, and keep what they
//! promise while the store is away.

use crate::kit::{
    backend::Backend,
    device::{DIALECTS, backend, command, device, edge_yaml, refused, send},
    eventually,
    gateway::Gateway,
    raw::{Raw, RawAnswer},
    redis::Redis,
};
use portcullis::client::{Codec, Device, Protocol};
use proto::edge::v1::ExecuteCommandRequest;
use serde_json::Value;

const DIALECT: (Protocol, Codec) = (Protocol::Connect, Codec::Proto);

/// The edge of most tests on this store, with public routes whose budgets differ in what holds without it.
fn yaml(backend: &Backend, redis: &Redis) -> String {
    let store = format!(
        r#"stores: {{ main: {{ redis: {{ url: "{}", command_timeout: 1s, breaker: {{ open_for: 100ms }} }} }} }}"#,
        redis.url()
    );
    let budgets = r#"budgets:
  allow: { key: [client.ip], shared: ["6/1h"], on_store_error: allow }
  deny:  { key: [client.ip], shared: ["6/1h"], on_store_error: deny }
  share: { key: [client.ip], shared: ["6/1h"] }
"#;
    let routes = r#"routes:
  - { name: allow, match: { listener: public, path: /allow }, chain: [{ budget: allow }], forward: backend }
  - { name: deny,  match: { listener: public, path: /deny },  chain: [{ budget: deny }],  forward: backend }
  - { name: share, match: { listener: public, path: /share }, chain: [{ budget: share }], forward: backend }
"#;
    edge_yaml(backend)
        .replace("stores: { main: { memory: {} } }", &store)
        .replace("budgets:\n", budgets)
        .replace("routes:\n  - { name: public", &format!("{routes}  - {{ name: public"))
}

fn two(backend: &Backend, redis: &Redis) -> [Gateway; 2] {
    let both = [Gateway::start(&yaml(backend, redis)), Gateway::start(&yaml(backend, redis))];
    both.iter().for_each(|gateway| is_store(gateway, "up"));
    both
}

fn get(gateway: &Gateway, listener: &str, path: &str) -> RawAnswer {
    Raw::connect(gateway.address(listener)).send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).answer()
}

fn ready(gateway: &Gateway) -> (u16, Value) {
    let answer = get(gateway, "admin", "/readyz");
    (answer.status, answer.json())
}

/// Waits until the gateway says that its store is so.
fn is_store(gateway: &Gateway, status: &str) {
    eventually(status, || {
        let (_, said) = ready(gateway);
        said["stores"]["main"].as_str().is_some_and(|said| said.starts_with(status)).then_some(())
    });
}

fn statuses(gateway: &Gateway, path: &str, count: usize) -> Vec<u16> {
    (0..count).map(|_| get(gateway, "public", path).status).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_has_accepted_the_other_refuses_in_every_protocol_and_codec() {
    let (backend, redis) = (backend(), Redis::start());
    let [one, other] = two(&backend, &redis);
    let device = device("session-1");
    for (accepted_in, asked_in) in DIALECTS.into_iter().zip(DIALECTS.into_iter().rev()) {
        let request = device.sign(&command("user.account.get", ""));
        let answer = send(&one, accepted_in, &request).await.unwrap();
        device.verify(&request, &answer.response).unwrap();
        for gateway in [&other, &one] {
            let refused = refused(send(gateway, asked_in, &request).await);
            assert_eq!(refused.reason.as_deref(), Some("REQUEST_REPLAYED"), "{accepted_in:?} {asked_in:?}");
        }
    }
    assert_eq!(backend.seen_at("/api/v1/user/account").len(), DIALECTS.len());
    let unsent = device.sign(&command("user.account.get", ""));
    redis.ask(&["FLUSHALL"]);
    // Nobody can know any more that it was not accepted before.
    for gateway in [&one, &other] {
        let refused = refused(send(gateway, DIALECT, &unsent).await);
        assert_eq!(refused.reason.as_deref(), Some("REQUEST_REPLAYED"));
    }
}

#[test]
fn who_is_told_that_a_gateway_is_ready_finds_its_store_there() {
    let (backend, redis) = (backend(), Redis::start());
    for _ in 0..5 {
        let gateway = Gateway::start(&yaml(&backend, &redis));
        assert_eq!(get(&gateway, "public", "/deny").status, 200);
    }
}

#[test]
fn a_budget_is_one_for_all() {
    let (backend, redis) = (backend(), Redis::start());
    let [one, other] = two(&backend, &redis);
    assert_eq!(statuses(&one, "/share", 4), [200; 4]);
    assert_eq!(statuses(&other, "/share", 3), [200, 200, 429]);
    let refused = get(&one, "public", "/share");
    let header = |name: &str| refused.header(name).unwrap().parse::<u64>().unwrap();
    assert_eq!((refused.status, header("x-ratelimit-limit"), header("x-ratelimit-remaining")), (429, 6, 0));
    assert!((3590..=3600).contains(&header("retry-after")), "{}", header("retry-after"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_store_each_part_does_what_it_says_and_all_is_well_when_it_is_back() {
    let (backend, mut redis) = (backend(), Redis::lasting());
    let [one, other] = two(&backend, &redis);
    // Both must have heard of each other, or each would take the whole for its share: the second after the first,
    // and the first with its next heartbeat.
    let beats = |redis: &Redis| redis.calls("zadd");
    let heard = beats(&redis) + 4;
    eventually("heartbeats of both", || (beats(&redis) >= heard).then_some(()));
    redis.kill();
    for gateway in [&one, &other] {
        is_store(gateway, "down");
        assert_eq!(statuses(gateway, "/allow", 9), [200; 9]);
        assert_eq!(statuses(gateway, "/deny", 2), [503; 2]);
        assert_eq!(get(gateway, "public", "/deny").json()["reason"], "BUDGET_STORE_UNAVAILABLE");
        assert_eq!(statuses(gateway, "/share", 4), [200, 200, 200, 429], "half of six");
        assert_eq!(ready(gateway).0, 200, "the other instances are no better off");
    }
    let device = device("session-1");
    let request = device.sign(&command("user.account.get", ""));
    let refused = refused(send(&one, DIALECT, &request).await);
    assert_eq!(refused.reason.as_deref(), Some("REPLAY_STORE_UNAVAILABLE"));
    redis.start_again();
    is_store(&one, "up");
    is_store(&other, "up");
    assert_eq!(get(&one, "public", "/deny").status, 200);
    let sent = eventually_accepted(&one, &device).await;
    let replayed = self::refused(send(&other, DIALECT, &sent).await);
    assert_eq!(replayed.reason.as_deref(), Some("REQUEST_REPLAYED"));
}

/// A command that is accepted: for a moment after a restart those are refused that are stamped ahead of its clock.
async fn eventually_accepted(gateway: &Gateway, device: &Device) -> ExecuteCommandRequest {
    for _ in 0..1000 {
        let request = device.sign(&command("user.account.get", ""));
        if send(gateway, DIALECT, &request).await.is_ok() {
            return request;
        }
    }
    panic!("no command is accepted");
}

#[test]
fn a_server_that_may_drop_ids_makes_nobody_ready() {
    let (backend, redis) = (backend(), Redis::start());
    redis.ask(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    let gateway = Gateway::start(&yaml(&backend, &redis));
    is_store(&gateway, "unfit");
    let (status, said) = ready(&gateway);
    assert_eq!(status, 503);
    assert!(said["reasons"][0].as_str().unwrap().contains("allow_eviction"), "{said}");
    redis.ask(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    is_store(&gateway, "up");
    assert_eq!(ready(&gateway).0, 200);
}
