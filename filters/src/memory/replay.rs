//! Replay ids in this process.

use super::{lock, nanos, shard_count};
use crate::api::{Clock, ReplayClaim, ReplayKey, StoreFault};
use sha2::{Digest as _, Sha256};
use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
};

/// How many ids that are over are let go with each call at most, so that none has to wait for all of them.
const FORGET_MAX: usize = 64;

/// Replay ids in this process.
///
/// No live id is ever forgotten: while the store is full of them, further reservations fail. It says of no id
/// that it is the first that it cannot know: requests from before its epoch are taken for replayed. The epoch
/// is the store's creation, and moves on behind the timestamp of every id that is let go. So it also holds
/// when the wall clock is set back and makes requests fresh again whose ids are over. (Ids expire by the
/// monotonic clock, which is never set.)
///
/// It does not know what a store before it has accepted that was stamped ahead of the clock: to refuse all that may
/// have been would refuse every command for as long as freshness lets one be ahead.
///
/// Memory is bounded: about 150 bytes for each id.
pub struct MemoryReplay {
    clock: Arc<dyn Clock>,
    shards: Vec<Mutex<Ids>>,
    /// Requests with an older timestamp cannot be known to be new.
    epoch_ms: AtomicI64,
    /// The longest time, in nanoseconds, that anybody wanted an id kept. All are kept that long: a request
    /// that is over for one chain may still be fresh for another.
    keep_longest: AtomicU64,
}

/// An id: the first half of the SHA-256 of a session and a request id. Who finds two with the same half has
/// burnt an id of its own, since the session is in it.
type Id = [u8; 16];

/// When an id is over, in nanoseconds of the monotonic clock, and a number that tells ids of one moment apart.
type Expiry = (u64, u64);

struct Ids {
    live: HashMap<Id, Expiry>,
    by_expiry: BTreeMap<Expiry, (Id, i64)>,
    ids_max: usize,
    reserved_ever: u64,
}

impl MemoryReplay {
    /// A store for so many ids. Large ones are spread over 16 locks, each with its part of the ids.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, ids_max: usize) -> Self {
        let shards = shard_count(ids_max);
        let ids =
            || Ids { live: HashMap::new(), by_expiry: BTreeMap::new(), ids_max: ids_max / shards, reserved_ever: 0 };
        let epoch_ms = AtomicI64::new(clock.unix_ms());
        Self {
            clock,
            shards: (0..shards).map(|_| Mutex::new(ids())).collect(),
            epoch_ms,
            keep_longest: AtomicU64::new(0),
        }
    }

    fn shard_of(&self, id: &Id) -> Option<&Mutex<Ids>> {
        let [first, ..] = id;
        self.shards.get(usize::from(*first) % self.shards.len().max(1))
    }

    /// Whether the id was free and is now reserved. Of any number of concurrent calls with one key, one is told so.
    ///
    /// # Errors
    /// Where all ids that fit are live.
    pub fn reserve(&self, claim: &ReplayClaim) -> Result<bool, StoreFault> {
        let id = id(&claim.key);
        let keep = self.keep_longest.fetch_max(nanos(claim.keep), Relaxed).max(nanos(claim.keep));
        let shard = self.shard_of(&id).ok_or_else(|| StoreFault("the store has no shards".to_owned()))?;
        let mut ids = lock(shard);
        let now = nanos(self.clock.monotonic());
        if let Some(newest_ms) = ids.forget_until(now) {
            self.epoch_ms.fetch_max(newest_ms.saturating_add(1), Relaxed);
        }
        // Behind the forgetting and under the same lock: the id is either still known or behind the epoch.
        if claim.timestamp_ms < self.epoch_ms.load(Relaxed) {
            return Ok(false);
        }
        ids.reserve(id, claim.timestamp_ms, now.saturating_add(keep))
    }

    /// Whether a reservation would be refused as a replay.
    #[must_use]
    pub fn is_replayed(&self, claim: &ReplayClaim) -> bool {
        let id = id(&claim.key);
        let is_live = self.shard_of(&id).is_some_and(|shard| lock(shard).live.contains_key(&id));
        is_live || claim.timestamp_ms < self.epoch_ms.load(Relaxed)
    }

    /// Takes a reservation back.
    pub fn release(&self, key: &ReplayKey) {
        let id = id(key);
        let Some(mut ids) = self.shard_of(&id).map(lock) else { return };
        if let Some(expiry) = ids.live.remove(&id) {
            ids.by_expiry.remove(&expiry);
        }
    }
}

impl Ids {
    /// Lets go of ids that are over, and says the newest timestamp among them.
    fn forget_until(&mut self, now: u64) -> Option<i64> {
        let mut newest_ms = None;
        for _ in 0..FORGET_MAX {
            let Some(oldest) = self.by_expiry.first_entry().filter(|oldest| oldest.key().0 <= now) else { break };
            let (id, timestamp_ms) = oldest.remove();
            self.live.remove(&id);
            newest_ms = newest_ms.max(Some(timestamp_ms));
        }
        newest_ms
    }

    fn reserve(&mut self, id: Id, timestamp_ms: i64, expires: u64) -> Result<bool, StoreFault> {
        let is_full = self.live.len() >= self.ids_max;
        let Entry::Vacant(vacant) = self.live.entry(id) else { return Ok(false) };
        if is_full {
            return Err(StoreFault("all replay ids that fit are live".to_owned()));
        }
        self.reserved_ever += 1;
        let expiry = (expires, self.reserved_ever);
        vacant.insert(expiry);
        self.by_expiry.insert(expiry, (id, timestamp_ms));
        Ok(true)
    }
}

fn id(key: &ReplayKey) -> Id {
    let mut hash = Sha256::new();
    // The length keeps `a`, `bc` and `ab`, `c` apart.
    hash.update((key.device_session_id.len() as u64).to_be_bytes());
    hash.update(&key.device_session_id);
    hash.update(&key.request_id);
    let digest: [u8; 32] = hash.finalize().into();
    *digest.first_chunk().unwrap_or(&[0; 16])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes::{FakeClock, NOW_MS};
    use std::{thread, time::Duration};

    const KEEP: Duration = Duration::from_secs(95);

    fn key(request_id: &str) -> ReplayKey {
        ReplayKey { device_session_id: "session-1".to_owned(), request_id: request_id.to_owned() }
    }

    fn store(ids_max: usize) -> (MemoryReplay, Arc<FakeClock>) {
        let clock = Arc::<FakeClock>::default();
        (MemoryReplay::new(Arc::<FakeClock>::clone(&clock), ids_max), clock)
    }

    fn claim(key: &ReplayKey, timestamp_ms: i64, keep: Duration) -> ReplayClaim {
        ReplayClaim { key: key.clone(), timestamp_ms, keep }
    }

    fn reserve_key(store: &MemoryReplay, key: &ReplayKey, keep: Duration) -> Result<bool, StoreFault> {
        store.reserve(&claim(key, NOW_MS, keep))
    }

    fn reserve(store: &MemoryReplay, request_id: &str, timestamp_ms: i64) -> Result<bool, StoreFault> {
        store.reserve(&claim(&key(request_id), timestamp_ms, KEEP))
    }

    #[test]
    fn an_id_is_reserved_once_in_its_session() {
        let (store, _) = store(10);
        assert_eq!(reserve(&store, "a", NOW_MS), Ok(true));
        assert_eq!(reserve(&store, "a", NOW_MS), Ok(false));
        assert_eq!(reserve(&store, "a", NOW_MS + 1), Ok(false), "the timestamp is no part of the id");
        assert_eq!(reserve(&store, "b", NOW_MS), Ok(true));
        for (session, request) in [("session-2", "a"), ("session-", "1a"), ("session-1a", "")] {
            let other = ReplayKey { device_session_id: session.to_owned(), request_id: request.to_owned() };
            assert_eq!(reserve_key(&store, &other, KEEP), Ok(true), "{session} {request}");
        }
    }

    #[test]
    fn an_id_is_kept_while_its_command_can_be_fresh() {
        let (store, clock) = store(10);
        // Signed by a clock that is 30 s ahead, so fresh until 90 s from now.
        assert_eq!(reserve(&store, "a", NOW_MS + 30_000), Ok(true));
        clock.set(Duration::from_secs(90));
        assert_eq!(reserve(&store, "a", NOW_MS + 30_000), Ok(false));
        clock.set(KEEP);
        assert_eq!(reserve(&store, "a", NOW_MS + 30_000), Ok(false), "forgotten, so behind the epoch");
        assert_eq!(reserve(&store, "a", NOW_MS + 35_000), Ok(true), "as old as a fresh command can be");
    }

    #[test]
    fn what_came_before_the_store_is_taken_for_replayed() {
        let (store, _) = store(10);
        assert_eq!(reserve(&store, "a", NOW_MS - 1), Ok(false));
        assert_eq!(reserve(&store, "a", NOW_MS), Ok(true));
    }

    #[test]
    fn a_wall_clock_that_is_set_back_opens_nothing() {
        let (store, clock) = store(10);
        assert_eq!(reserve(&store, "a", NOW_MS), Ok(true));
        clock.set(KEEP);
        clock.step_wall(-95_000);
        assert_eq!(reserve(&store, "a", NOW_MS), Ok(false));
    }

    #[test]
    fn the_longest_keep_holds_for_all() {
        let (store, clock) = store(10);
        assert_eq!(reserve_key(&store, &key("long"), Duration::from_secs(300)), Ok(true));
        assert_eq!(reserve_key(&store, &key("short"), Duration::from_secs(10)), Ok(true));
        clock.set(Duration::from_secs(299));
        assert_eq!(reserve_key(&store, &key("short"), Duration::from_secs(300)), Ok(false));
        assert_eq!(reserve_key(&store, &key("late"), Duration::from_secs(300)), Ok(true));
    }

    #[test]
    fn a_full_store_fails_until_ids_are_over() {
        let (store, clock) = store(2);
        assert_eq!(reserve(&store, "a", NOW_MS), Ok(true));
        assert_eq!(reserve(&store, "b", NOW_MS), Ok(true));
        assert!(reserve(&store, "c", NOW_MS).is_err());
        assert_eq!(reserve(&store, "a", NOW_MS), Ok(false), "a live id is known also then");
        store.release(&key("b"));
        assert_eq!(reserve(&store, "c", NOW_MS), Ok(true));
        clock.set(KEEP);
        for id in ["d", "e"] {
            assert_eq!(reserve(&store, id, NOW_MS + 95_000), Ok(true));
        }
    }

    #[test]
    fn a_released_id_leaves_nothing_behind() {
        let (store, clock) = store(2);
        for second in 0..100 {
            clock.set(Duration::from_millis(second));
            assert_eq!(reserve(&store, "a", NOW_MS), Ok(true));
            store.release(&key("a"));
            store.release(&key("never reserved"));
        }
        assert_eq!(reserve(&store, "a", NOW_MS), Ok(true));
        let ids = lock(&store.shards[0]);
        assert_eq!((ids.live.len(), ids.by_expiry.len()), (1, 1));
    }

    #[test]
    fn of_parallel_reservations_one_is_the_first() {
        for ids_max in [1000, 100_000] {
            let (store, _) = store(ids_max);
            let firsts: usize = thread::scope(|scope| {
                let reserve_all = || {
                    let reserved = (0..100).map(|id| reserve(&store, &id.to_string(), NOW_MS));
                    reserved.filter(|reserved| *reserved == Ok(true)).count()
                };
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(reserve_all)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).sum()
            });
            assert_eq!(firsts, 100);
        }
    }
}
