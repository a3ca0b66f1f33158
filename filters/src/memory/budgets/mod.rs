//! Budgets in this process.

use super::{NANOS_PER_SECOND, lock, nanos, shard_count, window::Window};
use crate::api::{Charge, Clock, Exhausted, Grant, Receipt};
use indexmap::IndexMap;
use std::{
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

/// How many keys are looked at, to let go of those that are over, for each that is new.
const SWEEP_KEYS: usize = 4;
/// The same while a shard is full.
const SWEEP_KEYS_FULL: usize = 32;

/// Budgets in this process: sliding windows that are never exceeded, by callers in parallel neither.
///
/// Memory is bounded: so many keys, each with its own text (budget keys are bounded by their budget) and at
/// most 32 slots of 24 bytes. A key that is over is let go as new ones come. While all are live, new callers
/// share one window for each rule: strict, for a flood of invented callers must neither take memory without
/// end nor push out what others have spent.
pub struct MemoryBudgets {
    clock: Arc<dyn Clock>,
    hasher: RandomState,
    /// The callers' shards, and behind them the one of the windows that callers without a place share.
    /// Always locked in this order, which is what keeps two spenders from waiting for each other.
    shards: Vec<Mutex<Shard>>,
}

struct Shard {
    windows: IndexMap<Box<str>, Window>,
    keys_max: usize,
    /// The key that the sweep looks at next.
    hand: usize,
    /// How many keys the sweep still has to look at, for those that came new.
    owed: usize,
}

impl Shard {
    fn new(keys_max: usize) -> Self {
        Self { windows: IndexMap::new(), keys_max, hand: 0, owed: 0 }
    }

    fn has_room_for(&self, keys: usize) -> bool {
        self.keys_max - self.windows.len() >= keys
    }

    /// The place of the key's window, made where there is none and room for one.
    fn claim(&mut self, key: &str, charge: &Charge) -> Option<usize> {
        if let Some(index) = self.windows.get_index_of(key) {
            return Some(index);
        }
        if !self.has_room_for(1) {
            return None;
        }
        self.owed += SWEEP_KEYS;
        Some(self.windows.insert_full(key.into(), Window::new(charge.window)).0)
    }

    /// Looks at so many keys, in turn over all calls, and lets go of those that are over.
    fn sweep(&mut self, now: u64, keys: usize) {
        for _ in 0..keys.min(self.windows.len()) {
            if self.hand >= self.windows.len() {
                self.hand = 0;
            }
            if self.windows.get_index(self.hand).is_some_and(|(_, window)| window.is_over(now)) {
                self.windows.swap_remove_index(self.hand);
            } else {
                self.hand += 1;
            }
        }
    }

    fn pay_owed(&mut self, now: u64) {
        let keys = std::mem::take(&mut self.owed);
        self.sweep(now, keys);
    }
}

/// Where the window of a charge is: the shard's place among those that are held, and the place in it.
type Place = (usize, usize);

impl MemoryBudgets {
    /// Budgets for so many keys. Large stores are spread over 16 locks, each with its part of the keys.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, keys_max: usize) -> Self {
        let shards = shard_count(keys_max);
        let callers = (0..shards).map(|_| Mutex::new(Shard::new(keys_max / shards)));
        // One key for each rule of the configuration, so it has its limit there.
        let shared = std::iter::once_with(|| Mutex::new(Shard::new(usize::MAX)));
        Self { clock, hasher: RandomState::new(), shards: callers.chain(shared).collect() }
    }

    fn shard_of(&self, key: &str) -> usize {
        let callers = self.shards.len() as u64 - 1;
        (self.hasher.hash_one(key) % callers.max(1)) as usize
    }

    /// Spends every charge, or nothing. Observed charges never refuse: what does not fit is named.
    ///
    /// # Errors
    /// Where a charge is over its limit.
    pub fn spend(&self, charges: &[Charge]) -> Result<Grant, Exhausted> {
        let (mut held, homes) = self.hold(charges);
        // Read under the locks: in every window, time goes forward only.
        let monotonic = self.clock.monotonic();
        let now = nanos(monotonic);
        for shard in held.iter_mut().filter(|shard| !shard.has_room_for(charges.len())) {
            shard.sweep(now, SWEEP_KEYS_FULL);
        }
        // Nothing is removed from here to the end, so places stay valid.
        let places: Vec<Place> =
            charges.iter().zip(homes).map(|(charge, home)| place(&mut held, home, charge)).collect();
        let spent = match exhausted(&mut held, charges, &places, now) {
            Some(exhausted) => Err(exhausted),
            None => Ok(spend_all(&mut held, charges, &places, monotonic)),
        };
        for shard in &mut held {
            shard.pay_owed(now);
        }
        spent
    }

    /// Gives back what was spent on these charges.
    pub fn refund(&self, charges: &[Charge], receipt: Receipt) {
        let at = nanos(receipt.0);
        for charge in charges {
            let refund = |shard: Option<&Mutex<Shard>>, key: &str| {
                let refund = |window: &mut Window| window.refund(at, charge.cost);
                shard.is_some_and(|shard| lock(shard).windows.get_mut(key).is_some_and(refund))
            };
            let _ = refund(self.shards.get(self.shard_of(&charge.key)), &charge.key)
                || refund(self.shards.last(), &charge.rule);
        }
    }

    /// Locks every shard that the charges touch, and says which of the held ones each charge belongs to. Where
    /// one of them may lack the room, the one that is shared is held too, as the last.
    fn hold(&self, charges: &[Charge]) -> (Vec<MutexGuard<'_, Shard>>, Vec<usize>) {
        let shards: Vec<usize> = charges.iter().map(|charge| self.shard_of(&charge.key)).collect();
        let mut order = shards.clone();
        order.sort_unstable();
        order.dedup();
        let mut held: Vec<_> = order.iter().filter_map(|shard| self.shards.get(*shard)).map(lock).collect();
        if held.iter().any(|shard| !shard.has_room_for(charges.len()))
            && let Some(shared) = self.shards.last()
        {
            held.push(lock(shared));
        }
        let homes = shards.iter().map(|shard| order.partition_point(|held| held < shard)).collect();
        (held, homes)
    }
}

/// The window of a charge, made where there is none: in its own shard, or shared where that is full.
fn place(held: &mut [MutexGuard<'_, Shard>], home: usize, charge: &Charge) -> Place {
    if let Some(index) = held.get_mut(home).and_then(|shard| shard.claim(&charge.key, charge)) {
        return (home, index);
    }
    let shared = held.len().saturating_sub(1);
    (shared, held.last_mut().and_then(|shard| shard.claim(&charge.rule, charge)).unwrap_or_default())
}

fn window_at<'a>(held: &'a mut [MutexGuard<'_, Shard>], (shard, index): Place) -> Option<&'a mut Window> {
    held.get_mut(shard)?.windows.get_index_mut(index).map(|(_, window)| window)
}

/// What refuses, where anything does: the charge that takes longest to fit.
fn exhausted(held: &mut [MutexGuard<'_, Shard>], charges: &[Charge], places: &[Place], now: u64) -> Option<Exhausted> {
    let mut longest: Option<(Duration, Exhausted)> = None;
    for (index, (charge, place)) in charges.iter().zip(places).enumerate() {
        let Some(window) = window_at(held, *place) else { continue };
        window.release(now);
        if charge.is_observed || window.fits(charge.cost, charge.limit) {
            continue;
        }
        let wait = window.wait(now, charge.cost, charge.limit);
        if longest.is_none_or(|(known, _)| wait > known) {
            let retry_after_seconds = nanos(wait).div_ceil(NANOS_PER_SECOND).max(1);
            let rate = window.rate(now, charge.limit);
            longest = Some((wait, Exhausted { charge: index, rate, retry_after_seconds }));
        }
    }
    longest.map(|(_, exhausted)| exhausted)
}

fn spend_all(held: &mut [MutexGuard<'_, Shard>], charges: &[Charge], places: &[Place], monotonic: Duration) -> Grant {
    let now = nanos(monotonic);
    let mut grant = Grant { rates: Vec::with_capacity(charges.len()), over: Vec::new(), receipt: Receipt(monotonic) };
    for (index, (charge, place)) in charges.iter().zip(places).enumerate() {
        let Some(window) = window_at(held, *place) else { continue };
        if window.fits(charge.cost, charge.limit) {
            window.spend(now, charge.cost);
        } else {
            grant.over.push(index);
        }
        grant.rates.push(window.rate(now, charge.limit));
    }
    grant
}

#[cfg(test)]
mod tests;
