//! An endpoint that could not be connected to is left out for a while: a request that may not be repeated would fail
//! there for nothing.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// How long it is left out. nginx leaves out for 10 s; half of that is still few requests that find out, and an
/// endpoint that was only restarted is back sooner.
const REST: Duration = Duration::from_secs(5);

/// Whether an endpoint rests.
#[derive(Debug)]
pub(super) struct Rest {
    began: Instant,
    /// Milliseconds after `began`; 0 is no rest.
    until_ms: AtomicU64,
}

impl Default for Rest {
    fn default() -> Self {
        Self { began: Instant::now(), until_ms: AtomicU64::new(0) }
    }
}

impl Rest {
    /// The endpoint could not be connected to.
    pub(super) fn begin(&self, now: Instant) {
        self.until_ms.store(self.after(now), Relaxed);
    }

    /// The endpoint was connected to.
    pub(super) fn end(&self) {
        if self.until_ms.load(Relaxed) != 0 {
            self.until_ms.store(0, Relaxed);
        }
    }

    /// Whether a request may go there. When a rest is over that is one, which finds out; for the others the next
    /// rest has begun, which ends when that one connects.
    pub(super) fn lets_through(&self, now: impl FnOnce() -> Instant) -> bool {
        let until_ms = self.until_ms.load(Relaxed);
        if until_ms == 0 {
            return true;
        }
        let now = now();
        let is_over = self.millis(now) >= until_ms;
        is_over && self.until_ms.compare_exchange(until_ms, self.after(now), Relaxed, Relaxed).is_ok()
    }

    fn after(&self, now: Instant) -> u64 {
        self.millis(now + REST)
    }

    fn millis(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.began).as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_each_rest_one_request_finds_out() {
        let rest = Rest::default();
        let lets = |after: Duration| rest.lets_through(|| rest.began + after);
        let second = Duration::from_secs(1);
        assert!(lets(Duration::ZERO));
        rest.begin(rest.began + second);
        for (after, expected) in
            [(second, false), (second + REST - second / 1000, false), (second + REST, true), (second + REST, false)]
        {
            assert_eq!(lets(after), expected, "{after:?}");
        }
        assert!(!lets(second + REST + REST / 2));
        assert!(lets(second + REST + REST));
        rest.end();
        assert!(lets(second + REST + REST) && lets(second + REST + REST));
    }
}
