//! A sliding window: what one caller spent under one rule.

use super::nanos;
use crate::api::{Charge, RateState};
use std::{collections::VecDeque, time::Duration};

/// Spends are kept in slots that each span at most this part of the window.
///
/// At most 32 slots are live at once: those that opened within the last window lie at least a 31st of it
/// apart, so they are at most 31, and before them one may have been opened earlier but joined since.
const SLOTS_PER_WINDOW: u64 = 31;
const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Spends that were made close together. Times are nanoseconds of the store's monotonic clock.
#[derive(Debug, Clone, Copy)]
struct Slot {
    first: u64,
    last: u64,
    count: u64,
}

/// What one caller spent under one rule within the last window.
///
/// In no stretch of time as long as the window are more spends than its limit: a slot's spends are released
/// all together, one window after the last of them, so never too early. A burst within one slot is
/// released exactly one window after it; elsewhere a spend may be held up to a 31st of the window longer.
#[derive(Debug)]
pub(super) struct Window {
    slots: VecDeque<Slot>,
    spent: u64,
    limit: u64,
    length: u64,
}

impl Window {
    pub(super) fn new(charge: &Charge) -> Self {
        Self { slots: VecDeque::with_capacity(1), spent: 0, limit: charge.limit, length: nanos(charge.window) }
    }

    /// Lets go of what was spent a window ago.
    pub(super) fn release(&mut self, now: u64) {
        while let Some(oldest) = self.slots.front().filter(|slot| slot.last.saturating_add(self.length) <= now) {
            self.spent = self.spent.saturating_sub(oldest.count);
            self.slots.pop_front();
        }
    }

    /// Whether nothing of it counts any more.
    pub(super) fn is_over(&self, now: u64) -> bool {
        self.slots.back().is_none_or(|newest| newest.last.saturating_add(self.length) <= now)
    }

    /// Whether one more may be spent, given that what is over was released.
    pub(super) fn is_exhausted(&self) -> bool {
        self.spent >= self.limit
    }

    /// Spends one. `now` is never before that of an earlier call.
    pub(super) fn spend(&mut self, now: u64) {
        let span = self.length.div_ceil(SLOTS_PER_WINDOW);
        match self.slots.back_mut() {
            Some(newest) if now.saturating_sub(newest.first) < span => {
                newest.last = now;
                newest.count += 1;
            }
            _ => self.slots.push_back(Slot { first: now, last: now, count: 1 }),
        }
        self.spent += 1;
    }

    /// Takes back one that was spent at `at`; false where there is none. Taken from any other slot, what
    /// remains would be released too early.
    pub(super) fn refund(&mut self, at: u64) -> bool {
        let Some(index) = self.slots.iter().position(|slot| slot.first <= at && at <= slot.last) else { return false };
        let Some(slot) = self.slots.get_mut(index) else { return false };
        slot.count -= 1;
        if slot.count == 0 {
            self.slots.remove(index);
        }
        self.spent = self.spent.saturating_sub(1);
        true
    }

    pub(super) fn rate(&self, now: u64) -> RateState {
        let whole_at = self.slots.back().map_or(now, |newest| newest.last.saturating_add(self.length));
        RateState {
            limit: self.limit,
            remaining: self.limit.saturating_sub(self.spent),
            reset_seconds: seconds_until(whole_at, now),
        }
    }

    /// How long until one more may be spent.
    pub(super) fn wait(&self, now: u64) -> Duration {
        let free_at =
            if self.is_exhausted() { self.slots.front().map(|oldest| oldest.last + self.length) } else { None };
        Duration::from_nanos(free_at.unwrap_or(now).saturating_sub(now))
    }
}

fn seconds_until(then: u64, now: u64) -> u64 {
    then.saturating_sub(now).div_ceil(NANOS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: u64 = 1_000_000;

    fn window(limit: u64, length_ms: u64) -> Window {
        let window = Duration::from_millis(length_ms);
        Window::new(&Charge { rule: "r".into(), key: "r|k".to_owned(), limit, window, cost: 1, is_observed: false })
    }

    fn try_spend(window: &mut Window, now: u64) -> bool {
        window.release(now);
        let spends = !window.is_exhausted();
        if spends {
            window.spend(now);
        }
        spends
    }

    #[test]
    fn a_burst_is_released_exactly_one_window_after_it() {
        let mut window = window(3, 1000);
        for (at_ms, spends) in [
            (0, true),
            (0, true),
            (0, true),
            (0, false),
            (999, false),
            (1000, true),
            (1000, true),
            (1000, true),
            (1999, false),
            (2000, true),
        ] {
            assert_eq!(try_spend(&mut window, at_ms * MS), spends, "{at_ms}");
        }
    }

    #[test]
    fn it_says_what_is_left_and_when() {
        let mut window = window(2, 10_000);
        let state = |limit, remaining, reset_seconds| RateState { limit, remaining, reset_seconds };
        assert_eq!((window.rate(0), window.wait(0)), (state(2, 2, 0), Duration::ZERO));
        window.spend(0);
        assert_eq!(window.rate(1), state(2, 1, 10));
        window.spend(4_000 * MS);
        assert_eq!(window.rate(4_000 * MS), state(2, 0, 10));
        assert_eq!(window.wait(4_000 * MS), Duration::from_secs(6));
        window.release(10_000 * MS);
        assert_eq!((window.rate(10_000 * MS), window.wait(10_000 * MS)), (state(2, 1, 4), Duration::ZERO));
        assert!(!window.is_over(13_999 * MS));
        assert!(window.is_over(14_000 * MS));
    }

    #[test]
    fn a_refund_is_taken_where_it_was_spent() {
        let mut window = window(2, 1000);
        window.spend(0);
        window.spend(500 * MS);
        assert!(window.refund(500 * MS));
        assert!(!window.refund(500 * MS), "it is gone already");
        assert!(try_spend(&mut window, 600 * MS));
        assert!(!try_spend(&mut window, 999 * MS));
        assert!(try_spend(&mut window, 1000 * MS));
    }

    /// Counts every spend one by one.
    struct Reference {
        spends: Vec<u64>,
    }

    impl Reference {
        fn most_within(&self, length: u64) -> usize {
            let within = |from: &u64| self.spends.iter().filter(|at| (*from..from + length).contains(*at)).count();
            self.spends.iter().map(within).max().unwrap_or(0)
        }
    }

    proptest! {
        #[test]
        fn it_never_exceeds_its_limit_in_any_window(
            limit in 1_u64..20,
            length_ms in 1_u64..2000,
            steps in proptest::collection::vec((0_u64..400, 0_u8..8), 1..300),
        ) {
            let (mut window, mut reference) = (window(limit, length_ms), Reference { spends: Vec::new() });
            let length = length_ms * MS;
            let mut now = 0;
            for (step_ms, kind) in steps {
                // Steps of every scale, from the same instant to more than a window.
                now += if kind == 0 { step_ms * length / 100 } else { step_ms * length / 10_000 };
                if kind == 7 && let Some(at) = reference.spends.pop() {
                    if !window.refund(at) {
                        reference.spends.push(at);
                    }
                    continue;
                }
                if try_spend(&mut window, now) {
                    reference.spends.push(now);
                } else {
                    // Never stricter than a 31st of the window: all that count were spent that recently.
                    let from = now.saturating_sub(length + length.div_ceil(SLOTS_PER_WINDOW));
                    let counting = reference.spends.iter().filter(|at| **at >= from).count();
                    prop_assert!(counting as u64 >= limit, "refused with {} of {} spent", counting, limit);
                    let free_at = now + window.wait(now).as_nanos() as u64;
                    window.release(free_at);
                    prop_assert!(!window.is_exhausted(), "the wait is too short");
                    now = free_at;
                }
                prop_assert!(window.slots.len() <= 32);
            }
            prop_assert!(reference.most_within(length) as u64 <= limit);
        }
    }
}
