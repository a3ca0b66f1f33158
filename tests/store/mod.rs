//! Budgets and replay ids in a real Redis hold whatever is done to it.

mod faults;
mod figures;
mod places;
mod replays;
mod windows;

use crate::kit::{PATIENCE, redis::Redis};
use filters::api::{Charge, Claim, Claimed, Clock, ReplayClaim, ReplayKey, Store as _, StoreFault};
use portcullis::{
    store::redis::{Login, Place, RedisOptions, RedisStore, Scripts, Status},
    telemetry::{metrics::Metrics, stores::StoreMetrics},
};
use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::sync::watch;

const KEEP: Duration = Duration::from_secs(95);

/// The machine's time, which can be set.
#[derive(Default)]
struct TestClock {
    ahead_ms: AtomicI64,
}

impl Clock for TestClock {
    fn unix_ms(&self) -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        i64::try_from(now).unwrap() + self.ahead_ms.load(Relaxed)
    }

    fn monotonic(&self) -> Duration {
        panic!("a store in Redis goes by the server's clock")
    }
}

fn now_ms() -> i64 {
    TestClock::default().unix_ms()
}

/// One instance's store, with the task that keeps it connected.
struct Instance {
    store: Arc<RedisStore>,
    clock: Arc<TestClock>,
    metrics: StoreMetrics,
    _all_metrics: Metrics,
    stop: watch::Sender<bool>,
}

impl Deref for Instance {
    type Target = RedisStore;

    fn deref(&self) -> &RedisStore {
        &self.store
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

/// Long timeouts, since the machine may be busy. What tests them sets them.
fn options(place: Place) -> RedisOptions {
    RedisOptions {
        place,
        tls: None,
        prefix: "{portcullis}:".to_owned(),
        command_timeout: Duration::from_secs(5),
        connect_timeout: Duration::from_secs(2),
        failures: 5,
        open_for: Duration::from_millis(100),
        allow_eviction: false,
        in_flight_max: 10_000,
    }
}

fn at(redis: &Redis) -> RedisOptions {
    options(Place::Server(redis.url().parse().unwrap()))
}

fn begin(options: RedisOptions, scripts: Scripts) -> Instance {
    let all_metrics = Metrics::new().unwrap();
    let (metrics, clock) = (all_metrics.store("main"), Arc::<TestClock>::default());
    let dyn_clock = Arc::<TestClock>::clone(&clock);
    let store = RedisStore::with_scripts("main", options, dyn_clock, metrics.clone(), scripts);
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(Arc::clone(&store).run(stopped));
    Instance { store, clock, metrics, _all_metrics: all_metrics, stop }
}

async fn connected(options: RedisOptions) -> Instance {
    let instance = begin(options, Scripts::default());
    instance.is_up().await;
    instance
}

/// Waits until `condition` gives something.
async fn until<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + 2 * PATIENCE;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < give_up, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

impl Instance {
    async fn is_up(&self) {
        until(&format!("that the store is up: {:?}", self.status()), async || {
            (self.status() == Status::Up).then_some(())
        })
        .await;
    }

    /// Waits until it is down for a reason with this in it.
    async fn is_down(&self, why: &str) {
        until(&format!("that the store is down for {why}"), async || {
            matches!(self.status(), Status::Down { reason } if reason.contains(why)).then_some(())
        })
        .await;
    }

    /// Waits until it is unfit for a reason with this in it.
    async fn is_unfit(&self, why: &str) {
        until(&format!("that the store is unfit for {why}"), async || {
            matches!(self.status(), Status::Unfit { reason } if reason.contains(why)).then_some(())
        })
        .await;
    }

    async fn try_reserve(&self, id: &str, timestamp_ms: i64) -> Result<Claimed, StoreFault> {
        let claim = Claim { replay: Some(replay(id, timestamp_ms)), charges: vec![] };
        self.claim(&claim).get().await
    }

    /// Whether an id was reserved, which it only can be once.
    async fn reserves(&self, id: &str, timestamp_ms: i64) -> bool {
        let claimed = self.try_reserve(id, timestamp_ms).await.unwrap();
        assert!(matches!(claimed, Claimed::Granted(_) | Claimed::Replayed), "{claimed:?}");
        claimed != Claimed::Replayed
    }

    async fn spends(&self, charges: &[Charge]) -> Claimed {
        self.claim(&Claim { replay: None, charges: charges.to_vec() }).get().await.unwrap()
    }
}

fn replay(id: &str, timestamp_ms: i64) -> ReplayClaim {
    let key = ReplayKey { device_session_id: "session-1".to_owned(), request_id: id.to_owned() };
    ReplayClaim { key, timestamp_ms, keep: KEEP }
}

fn charge(rule: &str, limit: u64, window: Duration) -> Charge {
    Charge { rule: rule.into(), key: format!("{rule}|caller"), limit, window, cost: 1, is_observed: false }
}

/// The time of a server that only a test sets: in scripts, not of keys that expire.
struct ServerTime<'a>(&'a Redis);

impl ServerTime<'_> {
    fn set_us(&self, us: u64) {
        self.0.ask(&["SET", "test:us", &us.to_string()]);
    }

    fn set_ms(&self, ms: i64) {
        self.set_us(u64::try_from(ms).unwrap() * 1000);
    }

    fn scripts() -> Scripts {
        let Scripts { claim, refund, heartbeat } = Scripts::default();
        let replaced = |text: &str| {
            let (told, by) = ("return time[1] * 1000000 + time[2]", "return tonumber(redis.call('GET', 'test:us'))");
            assert!(text.contains(told));
            text.replace(told, by)
        };
        Scripts { claim: replaced(&claim), refund, heartbeat: replaced(&heartbeat) }
    }
}
