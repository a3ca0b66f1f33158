//! Whatever a server does, a claim gets an answer in time, and the store comes back without a restart.

use super::*;
use crate::kit::{
    fault_proxy::{Fault, FaultProxy},
    resp::{FIT, Resp},
};

const DEADLINE: Duration = Duration::from_millis(250);
/// How much longer a claim may take on a machine that is busy with other tests.
const SLACK: Duration = Duration::from_millis(500);

fn quick(options: RedisOptions) -> RedisOptions {
    RedisOptions { command_timeout: DEADLINE, ..options }
}

fn told(resp: &Resp) -> RedisOptions {
    options(Place::Server(resp.url().parse().unwrap()))
}

fn fault(claimed: &Result<Claimed, StoreFault>) -> String {
    claimed.as_ref().expect_err("the store is at fault").to_string()
}

/// Claims until one fails, each in time.
async fn claim_in_time(instance: &Instance, id: &str) -> Result<Claimed, StoreFault> {
    let begun = Instant::now();
    let claimed = instance.try_reserve(id, now_ms()).await;
    assert!(begun.elapsed() < DEADLINE + SLACK, "{:?}", begun.elapsed());
    claimed
}

/// Claims until one is granted again.
async fn recovers(instance: &Instance) {
    let mut tries = 0;
    until("that claims are granted again", async || {
        tries += 1;
        let claimed = instance.try_reserve(&format!("recovered-{tries}"), now_ms()).await;
        matches!(claimed, Ok(Claimed::Granted(_))).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_reply_is_an_answer_or_a_fault() {
    let granted = "*4\r\n:0\r\n:1\r\n$1\r\nf\r\n:1\r\n";
    let resp = Resp::start(FIT, granted);
    let instance = connected(RedisOptions { failures: 1_000, ..told(&resp) }).await;
    for (reply, word) in [
        ("-OOM command not allowed when used memory > 'maxmemory'.\r\n", "refused"),
        ("-BUSY Redis is busy running a script.\r\n", "refused"),
        ("-NOREPLICAS Not enough good replicas to write.\r\n", "refused"),
        ("-MISCONF Redis is configured to save RDB snapshots.\r\n", "refused"),
        ("-NOSCRIPT No matching script.\r\n", "refused"),
        ("-ERR Error running script\r\n", "refused"),
        ("-READONLY You can't write against a read only replica.\r\n", "misplaced"),
        ("-ERR Error running script (call to f_1): @user_script:1: -READONLY You can't write\r\n", "misplaced"),
        ("-LOADING Redis is loading the dataset in memory\r\n", "misplaced"),
        ("-MASTERDOWN Link with MASTER is down\r\n", "misplaced"),
        ("-CLUSTERDOWN The cluster is down\r\n", "misplaced"),
        ("-MOVED 3999 127.0.0.1:6381\r\n", "misplaced"),
        ("-ASK 3999 127.0.0.1:6381\r\n", "misplaced"),
        ("-TRYAGAIN Multiple keys request during rehashing of slot\r\n", "misplaced"),
        ("-NOAUTH Authentication required.\r\n", "forbidden"),
        ("-WRONGPASS invalid username-password pair\r\n", "forbidden"),
        ("-NOPERM this user has no permissions\r\n", "forbidden"),
        ("-ERR The user executing the script can't run this command or subcommand script: c8\r\n", "forbidden"),
        ("+OK\r\n", "malformed"),
        (":1\r\n", "malformed"),
        ("$-1\r\n", "malformed"),
        ("*0\r\n", "malformed"),
        ("*1\r\n:0\r\n", "malformed"),
        ("*4\r\n:7\r\n:1\r\n$-1\r\n:0\r\n", "malformed"),
        ("*4\r\n:0\r\n:-1\r\n$-1\r\n:0\r\n", "malformed"),
        ("*4\r\n:0\r\n:1\r\n:0\r\n:0\r\n", "malformed"),
        ("*5\r\n:2\r\n:1\r\n$-1\r\n:0\r\n:9\r\n", "malformed"),
        ("*4\r\n:0\r\n:1\r\n*1\r\n-ERR within\r\n:0\r\n", "refused"),
        ("!?\r\n", "malformed"),
    ] {
        instance.is_up().await;
        let before = instance.metrics.calls(word);
        resp.say(reply);
        let claimed = instance.try_reserve("a", 1).await;
        assert!(!fault(&claimed).is_empty());
        assert_eq!(instance.metrics.calls(word), before + 1, "{reply:?}: {claimed:?}");
        resp.say(granted);
        until("recovery", async || instance.try_reserve("a", 1).await.is_ok().then_some(())).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_breaker_opens_and_claims_fail_at_once() {
    let resp = Resp::start(FIT, "-OOM no\r\n");
    let open_for = Duration::from_secs(3600);
    let instance = connected(RedisOptions { failures: 3, open_for, ..told(&resp) }).await;
    for _ in 0..3 {
        assert!(fault(&instance.try_reserve("a", 1).await).contains("OOM"));
    }
    assert!(instance.try_reserve("a", 1).await.is_err());
    instance.is_down("3 calls in a row failed").await;
    let begun = Instant::now();
    for _ in 0..1000 {
        assert!(matches!(
            instance.claim(&Claim { replay: Some(replay("a", 1)), charges: vec![] }),
            filters::api::Step::Ready(Err(_))
        ));
    }
    assert!(begun.elapsed() < DEADLINE, "{:?}", begun.elapsed());
    assert_eq!(instance.metrics.breaker.get(), 2);
    assert_eq!(instance.metrics.up.get(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_makes_nobody_wait() {
    let redis = Redis::start();
    let instance = connected(quick(at(&redis))).await;
    recovers(&instance).await;
    redis.freeze();
    let begun = Instant::now();
    let all = (0..200).map(|id| {
        let instance = &instance;
        async move { claim_in_time(instance, &format!("frozen-{id}")).await }
    });
    for claimed in futures_util::future::join_all(all).await {
        assert!(claimed.is_err());
    }
    instance.is_down("in a row failed").await;
    assert!(begun.elapsed() < DEADLINE + SLACK);
    assert!(claim_in_time(&instance, "down").await.is_err());
    redis.thaw();
    recovers(&instance).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_connection_is_a_fault_in_time_and_heals() {
    let redis = Redis::start();
    let proxy = FaultProxy::start(([127, 0, 0, 1], redis.port()).into()).await;
    let place = Place::Server(format!("redis://{}", proxy.address()).parse().unwrap());
    let instance = connected(RedisOptions { connect_timeout: DEADLINE, failures: 2, ..quick(options(place)) }).await;
    recovers(&instance).await;
    for (round, broken) in [Fault::Drop, Fault::Reset, Fault::HalfClose, Fault::Truncate(3), Fault::Delay(2 * DEADLINE)]
        .into_iter()
        .enumerate()
    {
        let before = proxy.connections();
        proxy.set(broken);
        for claim in 0..3 {
            let claimed = claim_in_time(&instance, &format!("{round}-{claim}")).await;
            assert!(claimed.is_err(), "{broken:?}");
        }
        proxy.set(Fault::None);
        recovers(&instance).await;
        assert!(proxy.connections() > before, "{broken:?} ends the link");
    }
    proxy.set(Fault::Delay(DEADLINE / 5));
    recovers(&instance).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_is_waited_for_by_nobody() {
    let port = crate::kit::redis::free_port();
    let place = Place::Server(format!("redis://user:secret@127.0.0.1:{port}").parse().unwrap());
    let instance = begin(quick(options(place)), Scripts::default());
    instance.is_down("out of reach").await;
    let said = fault(&claim_in_time(&instance, "a").await);
    assert!(said.contains("out of reach") && !said.contains("secret"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgotten_script_is_loaded_again() {
    let redis = Redis::start();
    let instance = connected(at(&redis)).await;
    recovers(&instance).await;
    redis.ask(&["SCRIPT", "FLUSH"]);
    assert!(instance.reserves("a", now_ms()).await);
    assert_eq!(instance.metrics.calls("refused"), 0);
    assert_eq!(instance.metrics.reconnects.get(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_out_of_memory_takes_nothing_half() {
    let redis = Redis::start();
    let instance = connected(RedisOptions { failures: 1_000, ..at(&redis) }).await;
    recovers(&instance).await;
    redis.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    let charges = vec![charge("a", 5, Duration::from_secs(3600))];
    let claim = |id| Claim { replay: Some(replay(id, now_ms())), charges: charges.clone() };
    assert!(fault(&instance.claim(&claim("a")).get().await).contains("OOM"));
    redis.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    let Ok(Claimed::Granted(grant)) = instance.claim(&claim("a")).get().await else { panic!("nothing was reserved") };
    assert_eq!(grant.rates[0].remaining, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_wait_are_bounded() {
    let redis = Redis::start();
    let instance = connected(RedisOptions { in_flight_max: 1, ..quick(at(&redis)) }).await;
    recovers(&instance).await;
    redis.freeze();
    let (claim, other) = (Claim { replay: Some(replay("a", 1)), charges: vec![] }, replay("b", 1));
    let (first, second) = tokio::join!(instance.claim(&claim).get(), instance.is_replayed(&other).get());
    assert!(first.is_err() && second.is_err());
    assert!(instance.metrics.calls("crowded") >= 1);
}
