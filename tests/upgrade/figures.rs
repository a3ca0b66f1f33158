//! The figures of upgrades and stops, which take minutes: `ops/bench/upgrades` runs them and makes their table.

use super::{
    backend,
    under_load::{Outcome, stops, upgrades},
    yaml,
};
use crate::kit::{
    figures::{note, report},
    gateway::Gateway,
    raw::Raw,
};
use std::time::{Duration, Instant};

/// How often a gateway is started and stopped.
const TIMES: usize = 20;

fn table(what: &str, outcome: &Outcome) {
    report(&format!("{what}: requests lost of {}", outcome.total), "0", "0", true);
    note(&format!("{what}: requests by what was spoken"), &outcome.by_way);
    note(&format!("{what}: longest until an answer was there"), &format!("{} ms", outcome.longest_ms));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes"]
async fn fifty_upgrades() {
    table("50 upgrades", &upgrades(50, 100).await);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes"]
async fn a_hundred_stops() {
    table("100 stops", &stops(100, 100).await);
}

#[test]
#[ignore = "its time means something on a quiet machine only"]
fn idle_exits() {
    for (what, delay, is_connected) in [
        ("a gateway that nobody calls, with a delay of 5 s", "5s", false),
        ("a gateway with an idle connection, without a delay", "0s", true),
    ] {
        let longest = (0..TIMES).map(|_| exit(delay, is_connected)).max().unwrap_or_default();
        let is_met = longest < Duration::from_secs(1);
        let what = format!("{TIMES} stops of {what}: longest until it had ended");
        report(&what, &format!("{} ms", longest.as_millis()), "1000 ms", is_met);
        assert!(is_met, "{what}: {longest:?}");
    }
}

fn exit(delay: &str, is_connected: bool) -> Duration {
    let backend = backend();
    let mut gateway = Gateway::start(&yaml(&backend).replace("delay: 0s", &format!("delay: {delay}")));
    let mut raw = Raw::connect(gateway.address("public"));
    if is_connected {
        assert_eq!(raw.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n").answer().status, 200);
    } else {
        drop(raw);
    }
    let asked = Instant::now();
    gateway.signal("TERM");
    assert_eq!(gateway.ended().code(), Some(0));
    asked.elapsed()
}
