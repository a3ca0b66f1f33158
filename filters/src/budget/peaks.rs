//! The most that callers may have spent in a window, for budgets that only watch. What is said of it errs upwards: a
//! limit that it names refuses no more than it says.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Callers that are kept. Beyond it every second one is let go, chosen by its hash, so that those who stay
/// are a fair sample. One takes some 50 bytes.
const CALLERS_MAX: usize = 65_536;

/// The share of callers that the reported limit may refuse: one in so many.
const ONE_IN: usize = 1000;

/// The most that each caller has spent in one window.
#[derive(Debug, Default)]
pub(super) struct Peaks {
    hasher: RandomState,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    callers: HashMap<u64, Caller>,
    /// Callers whose hash has one of these bits set are not kept.
    mask: u64,
}

#[derive(Debug, Default)]
struct Caller {
    /// The number of the stretch that is counted, as long as the window.
    stretch: u128,
    spent: u64,
    /// What was spent in the stretch before.
    before: u64,
    peak: u64,
}

impl Peaks {
    pub(super) fn note(&self, key: &str, cost: u64, now: Duration, length: Duration) {
        let id = self.hasher.hash_one(key);
        let stretch = now.as_nanos() / length.as_nanos().max(1);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if id & seen.mask != 0 {
            return;
        }
        let caller = seen.callers.entry(id).or_default();
        if caller.stretch != stretch {
            caller.before = if caller.stretch + 1 == stretch { caller.spent } else { 0 };
            (caller.stretch, caller.spent) = (stretch, 0);
        }
        caller.spent = caller.spent.saturating_add(cost);
        // A window slides: in the worst case it holds all of two stretches.
        caller.peak = caller.peak.max(caller.spent.saturating_add(caller.before));
        if seen.callers.len() > CALLERS_MAX {
            seen.halve();
        }
    }

    /// The least limit that at most one caller in a thousand has ever exceeded; nothing where nobody was seen.
    pub(super) fn limit_for_999(&self) -> Option<u64> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut peaks: Vec<u64> = seen.callers.values().map(|caller| caller.peak).collect();
        drop(seen);
        peaks.sort_unstable_by(|a, b| b.cmp(a));
        peaks.get(peaks.len() / ONE_IN).copied()
    }
}

impl Seen {
    fn halve(&mut self) {
        self.mask = (self.mask << 1) | 1;
        let mask = self.mask;
        self.callers.retain(|id, _| id & mask == 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_limit_spares_all_but_one_in_a_thousand() {
        for (callers, greedy, expected) in [
            (0, 0, None),
            (1, 0, Some(2)),
            (998, 1, Some(90)),
            (999, 1, Some(2)),
            (1998, 2, Some(2)),
            (1998, 3, Some(90)),
        ] {
            let peaks = Peaks::default();
            for caller in 0..callers {
                for _ in 0..2 {
                    peaks.note(&format!("modest {caller}"), 1, Duration::ZERO, SECOND);
                }
            }
            for caller in 0..greedy {
                peaks.note(&format!("greedy {caller}"), 90, Duration::ZERO, SECOND);
            }
            assert_eq!(peaks.limit_for_999(), expected, "{callers} and {greedy}");
        }
    }

    #[test]
    fn a_burst_over_the_edge_of_a_stretch_is_one() {
        let peaks = Peaks::default();
        for (at_ms, cost) in [(0, 3), (999, 4), (1000, 5), (5000, 8), (7000, 9)] {
            peaks.note("caller", cost, Duration::from_millis(at_ms), SECOND);
        }
        assert_eq!(peaks.limit_for_999(), Some(12));
    }

    #[test]
    fn callers_are_bounded_and_stay_a_fair_sample() {
        let peaks = Peaks::default();
        let callers = 4 * CALLERS_MAX;
        for caller in 0..callers {
            let cost = if caller % 100 == 0 { 9 } else { 1 };
            peaks.note(&caller.to_string(), cost, Duration::ZERO, SECOND);
        }
        let seen = peaks.seen.lock().unwrap();
        assert!(seen.callers.len() <= CALLERS_MAX && seen.callers.len() > CALLERS_MAX / 8, "{}", seen.callers.len());
        drop(seen);
        assert_eq!(peaks.limit_for_999(), Some(9));
    }
}
