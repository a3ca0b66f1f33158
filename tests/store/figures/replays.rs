//! Of a million replays none is accepted, whatever is done to the store meanwhile.

use super::*;
use crate::kit::{eventually, redis::Watched};
use std::sync::Mutex;

/// Accepted commands between two disturbances.
const IDS: usize = 2_000;
const HOUR_MS: i64 = 3_600_000;

/// What became of replays.
#[derive(Default)]
struct Tally {
    accepted: AtomicUsize,
    refused: AtomicUsize,
    faults: AtomicUsize,
}

/// Two instances, and what they have accepted.
struct Pair {
    instances: Arc<[Instance; 2]>,
    ids: Arc<Vec<(String, i64)>>,
    tally: Arc<Tally>,
}

impl Pair {
    async fn on(options: RedisOptions, tally: &Arc<Tally>) -> Self {
        let instances = Arc::new([connected(options.clone()).await, connected(options).await]);
        Self { instances, ids: Arc::default(), tally: Arc::clone(tally) }
    }

    /// Has commands of now accepted, on both instances.
    async fn accept(&mut self, phase: &str) {
        let (taken, instances) = (Arc::<Mutex<Vec<_>>>::default(), Arc::clone(&self.instances));
        let (into, phase) = (Arc::clone(&taken), phase.to_owned());
        each(sized(IDS), move |number| {
            let (into, instances, phase) = (Arc::clone(&into), Arc::clone(&instances), phase.clone());
            async move {
                let id = accepted(&instances[number % 2], &format!("{phase}-{number}")).await;
                into.lock().unwrap().push(id);
            }
        })
        .await;
        let taken = std::mem::take(&mut *taken.lock().unwrap());
        Arc::make_mut(&mut self.ids).extend(taken);
    }

    /// Replays all that was accepted, again and again on both instances at once, while `disturb` is done.
    async fn replay(&self, replays: usize, disturb: impl FnOnce() + Send) {
        let (instances, ids, tally) = (Arc::clone(&self.instances), Arc::clone(&self.ids), Arc::clone(&self.tally));
        let begun = self.tally.refused.load(Relaxed);
        let replaying = tokio::spawn(each(replays, move |number| {
            let (instances, ids, tally) = (Arc::clone(&instances), Arc::clone(&ids), Arc::clone(&tally));
            async move {
                let (id, stamp) = &ids[number / 2 % ids.len()];
                replay_until_answered(&instances[number % 2], id, *stamp, &tally).await;
            }
        }));
        until("the first replays", async || (self.tally.refused.load(Relaxed) > begun + replays / 10).then_some(()))
            .await;
        tokio::task::block_in_place(disturb);
        replaying.await.unwrap();
    }
}

/// Tries again a little later, but not for ever. Not `until`, whose closure no spawned task can carry.
async fn again(begun: Instant) {
    assert!(begun.elapsed() < 2 * PATIENCE, "the store does not come back");
    tokio::time::sleep(Duration::from_millis(5)).await;
}

/// A command that was accepted, by its id and timestamp: a fence refuses what was signed before it.
async fn accepted(instance: &Instance, name: &str) -> (String, i64) {
    let begun = Instant::now();
    for tries in 0.. {
        let (id, stamp) = (format!("{name}-{tries}"), now_ms());
        if let Ok(Claimed::Granted(_)) = instance.try_reserve(&id, stamp).await {
            return (id, stamp);
        }
        again(begun).await;
    }
    unreachable!("it tries for ever");
}

/// A store that cannot say refuses too, but that shows nothing of what it knows: it is asked again.
async fn replay_until_answered(instance: &Instance, id: &str, stamp: i64, tally: &Tally) {
    let begun = Instant::now();
    loop {
        let counter = match instance.try_reserve(id, stamp).await {
            Ok(Claimed::Replayed) => &tally.refused,
            Ok(_) => &tally.accepted,
            Err(_) => {
                tally.faults.fetch_add(1, Relaxed);
                again(begun).await;
                continue;
            }
        };
        counter.fetch_add(1, Relaxed);
        return;
    }
}

/// Empties a server, which may be reading what it has kept.
fn flush(redis: &Redis) {
    eventually("a flush", || redis.try_ask(&["FLUSHALL"]).ok());
}

/// FLUSHALL, an instance's clock an hour back, and power lost, on one server.
async fn on_one_server(mut redis: Redis, replays: usize, tally: &Arc<Tally>) {
    let mut pair = Pair::on(at(&redis), tally).await;
    let part = replays / 5;
    pair.accept("a").await;
    pair.replay(part, || flush(&redis)).await;
    pair.accept("b").await;
    pair.replay(part, || {
        redis.kill();
        redis.start_again();
    })
    .await;
    pair.accept("c").await;
    let clock = Arc::clone(&pair.instances[1].clock);
    pair.replay(part, || clock.ahead_ms.store(-HOUR_MS, Relaxed)).await;
    pair.accept("d").await;
    pair.replay(part, || flush(&redis)).await;
    clock.ahead_ms.store(0, Relaxed);
    pair.accept("e").await;
    pair.replay(replays - 4 * part, || {
        redis.kill();
        redis.start_again();
        flush(&redis);
    })
    .await;
}

/// The primary is lost, and a replica takes over that has not heard of the latest commands.
async fn on_a_watched_pair(replays: usize, tally: &Arc<Tally>) {
    let mut watched = Watched::start();
    let sentinels = watched.sentinels.iter().map(|sentinel| sentinel.url().parse().unwrap()).collect();
    let place = Place::Sentinel { sentinels, master: "main".to_owned(), login: Login::default() };
    let quick = RedisOptions { connect_timeout: Duration::from_millis(500), ..options(place) };
    let mut pair = Pair::on(quick, tally).await;
    pair.accept("heard").await;
    watched.servers[1].freeze();
    pair.accept("unheard").await;
    let part = replays / 2;
    pair.replay(part, || {
        watched.servers[0].kill();
        watched.servers[1].thaw();
    })
    .await;
    pair.accept("after").await;
    pair.replay(replays - part, || flush(&watched.servers[1])).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes of load: ops/bench/stores runs it"]
async fn no_replay_is_accepted() {
    let (tally, replays) = (Arc::<Tally>::default(), sized(1_000_000));
    let (begun, part) = (Instant::now(), replays / 3);
    on_one_server(Redis::start(), part, &tally).await;
    on_one_server(Redis::lasting(), part, &tally).await;
    on_a_watched_pair(replays - 2 * part, &tally).await;
    let (accepted, refused) = (tally.accepted.load(Relaxed), tally.refused.load(Relaxed));
    let what = format!(
        "replays accepted of {replays}, two instances, amid FLUSHALL, restarts with and without persistence, \
         a failover and a clock set back an hour"
    );
    report(&what, &accepted.to_string(), "0", accepted == 0);
    note("of them refused as replayed", &refused.to_string());
    note(
        "tries beside them that were refused, since the store was out of reach",
        &tally.faults.load(Relaxed).to_string(),
    );
    note("replays a second, with the pauses", &format!("{:.0}", replays as f64 / begun.elapsed().as_secs_f64()));
    assert_eq!((accepted, refused), (0, replays));
}
