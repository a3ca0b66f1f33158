//! An id that was accepted is never accepted again.

use super::*;

/// Waits until the fence that a new link makes lets commands through that are stamped now.
async fn is_open(instance: &Instance) {
    instance.is_up().await;
    let mut tries = 0;
    until("that ids are reserved", async || {
        tries += 1;
        let claimed = instance.try_reserve(&format!("opens-{tries}"), now_ms()).await;
        matches!(claimed, Ok(Claimed::Granted(_))).then_some(())
    })
    .await;
}

/// Two instances on one server, both open.
async fn two(redis: &Redis) -> [Instance; 2] {
    let both = [connected(at(redis)).await, connected(at(redis)).await];
    for instance in &both {
        is_open(instance).await;
    }
    both
}

/// Reserves some ids, stamped now.
async fn reserved(instance: &Instance, name: &str) -> Vec<(String, i64)> {
    let mut ids = Vec::new();
    for number in 0..50 {
        let (id, stamp) = (format!("{name}-{number}"), now_ms());
        // A fence can be as late as this same millisecond.
        until("a reservation", async || instance.reserves(&id, stamp.max(now_ms() - 5)).await.then_some(())).await;
        ids.push((id, stamp));
    }
    ids
}

async fn none_is_reserved_again(instances: &[Instance; 2], ids: &[(String, i64)]) {
    for instance in instances {
        for (id, stamp) in ids {
            for stamp in [*stamp, now_ms().min(*stamp)] {
                assert!(!instance.reserves(id, stamp).await, "{id}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_is_reserved_once_over_all_instances() {
    let redis = Redis::start();
    let both = two(&redis).await;
    let ids = reserved(&both[0], "a").await;
    none_is_reserved_again(&both, &ids).await;
    let lives_ms: u128 =
        redis.text(&["EVAL", "return redis.call('PTTL', KEYS[1])", "1", &shortest_lived(&redis)]).parse().unwrap();
    // Twice that: the epoch moves over it no sooner. The test itself has taken a while.
    assert!(lives_ms + PATIENCE.as_millis() > 2 * KEEP.as_millis(), "{lives_ms}");
    let stamp = now_ms();
    assert!(!both[1].is_replayed(&replay("b", stamp)).get().await.unwrap());
    assert!(both[1].reserves("b", stamp).await, "a look reserves nothing");
    assert!(both[0].is_replayed(&replay("b", stamp)).get().await.unwrap());
    both[0].release(&replay("b", stamp).key);
    until("the release", async || (both[0].metrics.calls("release") == 1).then_some(())).await;
    assert!(both[1].reserves("b", stamp).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_parallel_claims_one_is_granted() {
    let redis = Redis::start();
    let both = two(&redis).await;
    let stamp = now_ms();
    let mut tasks = Vec::new();
    for task in 0..16 {
        let store = Arc::clone(&both[task % 2].store);
        tasks.push(tokio::spawn(async move {
            let mut granted = 0;
            for id in 0..200 {
                let claim = Claim { replay: Some(replay(&id.to_string(), stamp)), charges: vec![] };
                granted += usize::from(matches!(store.claim(&claim).get().await, Ok(Claimed::Granted(_))));
            }
            granted
        }));
    }
    let mut granted = 0;
    for task in tasks {
        granted += task.await.unwrap();
    }
    assert_eq!(granted, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flush_frees_no_id() {
    let redis = Redis::start();
    let both = two(&redis).await;
    for flush in 0..3 {
        let ids = reserved(&both[flush % 2], &format!("flush-{flush}")).await;
        redis.ask(&["FLUSHALL"]);
        none_is_reserved_again(&both, &ids).await;
        is_open(&both[0]).await;
        none_is_reserved_again(&both, &ids).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flush_frees_no_id_that_was_stamped_ahead() {
    let redis = Redis::start();
    let both = two(&redis).await;
    let ahead = now_ms() + 20_000;
    // Ahead of both clocks, so it waits for the end of the first fence's hold.
    until("the end of the hold", async || both[0].reserves("ahead", ahead).await.then_some(())).await;
    redis.ask(&["FLUSHALL"]);
    assert!(!both[1].reserves("ahead", ahead).await, "nobody told the other instance, so it waits");
    until("the end of the hold", async || {
        assert!(!both[1].reserves("ahead", ahead).await);
        both[1].reserves(&format!("later-{}", now_ms()), ahead + 1_000).await.then_some(())
    })
    .await;
    assert!(!both[1].reserves("ahead", ahead).await, "the first instance has told it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_frees_no_id() {
    for mut redis in [Redis::start(), Redis::lasting()] {
        let both = two(&redis).await;
        let ids = reserved(&both[0], "a").await;
        redis.kill();
        for instance in &both {
            instance.is_down("").await;
            assert!(instance.try_reserve("down", now_ms()).await.is_err());
        }
        redis.start_again();
        for instance in &both {
            instance.is_up().await;
        }
        none_is_reserved_again(&both, &ids).await;
        is_open(&both[1]).await;
        none_is_reserved_again(&both, &ids).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_instances_do_not_fence_each_other() {
    let redis = Redis::start();
    let both = two(&redis).await;
    let fence = redis.text(&["HGET", "{portcullis}:state", "fence"]);
    for number in 0..50 {
        for (place, instance) in both.iter().enumerate() {
            assert!(instance.reserves(&format!("{place}-{number}"), now_ms()).await);
        }
    }
    assert_eq!(redis.text(&["HGET", "{portcullis}:state", "fence"]), fence);
    for instance in &both {
        until("that both are counted", async || (instance.instances() == 2).then_some(())).await;
    }
}

/// A server whose time is set, and an instance on it that is past its first fence.
async fn timed(redis: &Redis, at_ms: i64) -> Instance {
    ServerTime(redis).set_ms(at_ms - 10_000);
    let instance = begin(at(redis), ServerTime::scripts());
    instance.clock.ahead_ms.store(at_ms - 10_000 - now_ms(), Relaxed);
    instance.is_up().await;
    assert!(!instance.reserves("first", at_ms - 10_001).await);
    instance.clock.ahead_ms.store(at_ms - now_ms(), Relaxed);
    ServerTime(redis).set_ms(at_ms);
    instance
}

/// Does what the server would do with keys that are over.
fn expire(redis: &Redis) {
    let script = "for _, key in ipairs(redis.call('KEYS', '{portcullis}:r:*')) do redis.call('DEL', key) end";
    redis.ask(&["EVAL", script, "0"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_that_expires_is_behind_the_epoch() {
    const START: i64 = 1_900_000_000_000;
    let keep_ms = i64::try_from(KEEP.as_millis()).unwrap();
    // How far into the time after the first claim the id is accepted; how long after that it expires, at the
    // soonest twice the time that it is kept; and in how many steps, each with a claim, that time goes by.
    let accepted = [0, 50_000, 94_999, 95_000, 150_000].map(|accepted| [(accepted, 2, 1), (accepted, 2, 5)]);
    for (accepted, expires, steps) in accepted.into_iter().flatten().chain([(0, 3, 1), (0, 40, 1), (0, 3, 2)]) {
        let redis = Redis::start();
        let (time, instance) = (ServerTime(&redis), timed(&redis, START).await);
        assert!(instance.reserves("begins", START).await);
        let stamp = START + accepted + 29_000;
        time.set_ms(START + accepted);
        instance.clock.ahead_ms.store(START + accepted - now_ms(), Relaxed);
        assert!(instance.reserves("a", stamp).await);
        let then = START + accepted + expires * keep_ms;
        for step in 1..=steps {
            let now = START + accepted + expires * keep_ms * step / steps;
            time.set_ms(now);
            instance.clock.ahead_ms.store(now - now_ms(), Relaxed);
            assert!(instance.reserves(&format!("step-{step}"), now).await);
        }
        expire(&redis);
        assert!(!instance.reserves("a", stamp).await, "after {accepted} ms, {expires} keeps, {steps} steps");
        assert!(instance.reserves("honest", then - 60_000).await, "as old as a fresh command can be");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn honest_commands_are_never_behind_the_epoch() {
    const START: i64 = 1_900_000_000_000;
    let redis = Redis::start();
    let (time, instance) = (ServerTime(&redis), timed(&redis, START).await);
    let mut now = START;
    for id in 0..600 {
        now += fastrand::i64(0..2_000) * fastrand::i64(0..2);
        time.set_ms(now);
        instance.clock.ahead_ms.store(now - now_ms(), Relaxed);
        // Whatever is fresh at 60 s and 30 s, once there was time to sign it after the first fence.
        let stamp = (now + fastrand::i64(-60_000..=30_000)).max(START);
        assert!(instance.reserves(&id.to_string(), stamp).await, "{} ms after the start", now - START);
        assert!(!instance.reserves(&id.to_string(), stamp).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_set_opens_nothing() {
    const START: i64 = 1_900_000_000_000;
    const HOUR: i64 = 3_600_000;
    let redis = Redis::start();
    let (time, instance) = (ServerTime(&redis), timed(&redis, START).await);
    assert!(instance.reserves("a", START).await);
    time.set_ms(START - HOUR);
    instance.clock.ahead_ms.store(START - HOUR - now_ms(), Relaxed);
    assert!(!instance.reserves("a", START).await);
    instance.clock.ahead_ms.store(START - now_ms(), Relaxed);
    assert!(instance.reserves("b", START - 1).await, "all that was accepted is still known");
    time.set_ms(START + HOUR);
    expire(&redis);
    for (id, stamp) in [("a", START), ("b", START - 1)] {
        assert!(!instance.reserves(id, stamp).await);
        redis.ask(&["FLUSHALL"]);
        time.set_ms(START - HOUR);
        assert!(!instance.reserves(id, stamp).await, "a flush and a clock an hour back");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stamped_further_ahead_than_anything_fresh_moves_no_epoch() {
    let redis = Redis::start();
    let both = two(&redis).await;
    until("the end of the hold", async || both[0].reserves("near", now_ms() + 1_000).await.then_some(())).await;
    assert!(!both[0].reserves("far", now_ms() + 200_000_000).await);
    redis.ask(&["FLUSHALL"]);
    is_open(&both[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_are_kept_as_long_as_the_longest_that_was_asked_for() {
    const START: i64 = 1_900_000_000_000;
    let redis = Redis::start();
    let (time, instance) = (ServerTime(&redis), timed(&redis, START).await);
    assert!(instance.reserves("short", START).await);
    let long = Claim {
        replay: Some(ReplayClaim { keep: Duration::from_secs(600), ..replay("long", START) }),
        charges: vec![],
    };
    assert!(matches!(instance.claim(&long).get().await, Ok(Claimed::Granted(_))));
    // The first was kept by what was asked before; when it is over, it is behind the epoch all the same.
    time.set_ms(START + 100_000);
    assert!(instance.reserves("step", START + 60_000).await);
    time.set_ms(START + 190_000);
    assert!(instance.reserves("other step", START + 60_000).await);
    redis.ask(&["DEL", &shortest_lived(&redis)]);
    let again = Claim {
        replay: Some(ReplayClaim { keep: Duration::from_secs(600), ..replay("short", START) }),
        charges: vec![],
    };
    assert_eq!(instance.claim(&again).get().await, Ok(Claimed::Replayed));
}

/// The id's key that expires first.
fn shortest_lived(redis: &Redis) -> String {
    redis.text(&["EVAL", SHORTEST_LIVED, "0"])
}

const SHORTEST_LIVED: &str = "local first, least = '', math.huge
for _, key in ipairs(redis.call('KEYS', '{portcullis}:r:*')) do
  local ttl = redis.call('PTTL', key)
  if ttl < least then first, least = key, ttl end
end
return first";

/// The server stays the same, so no other start of it is seen: what the instances know is all that tells.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_was_made_to_forget_frees_no_id() {
    let options = ["--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0"];
    let [primary, other] = [Redis::with(&options), Redis::with(&options)];
    let follows = async |server: &Redis, of: &Redis| {
        server.ask(&["REPLICAOF", "127.0.0.1", &of.port().to_string()]);
        let is_synced = || server.text(&["INFO", "replication"]).contains("master_link_status:up").then_some(());
        until("that the replica is in step", async || is_synced()).await;
    };
    let both = two(&primary).await;
    follows(&other, &primary).await;
    other.ask(&["REPLICAOF", "NO", "ONE"]);
    let ids = reserved(&both[0], "a").await;
    // The instance that has reserved nothing hears of it with its heartbeat.
    let heard = primary.calls("zadd") + 4;
    until("heartbeats", async || (primary.calls("zadd") >= heard).then_some(())).await;
    follows(&primary, &other).await;
    primary.ask(&["REPLICAOF", "NO", "ONE"]);
    for instance in &both {
        instance.is_up().await;
        until("an answer", async || instance.try_reserve("b", 0).await.is_ok().then_some(())).await;
    }
    none_is_reserved_again(&both, &ids).await;
    is_open(&both[1]).await;
    none_is_reserved_again(&both, &ids).await;
}
