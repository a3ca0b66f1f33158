//! Time that passes when it is told to.

use filters::api::Clock;
use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Time that stands still until it is moved on. Wall and monotonic clock move together.
#[derive(Debug)]
pub(super) struct SetClock {
    began_ms: i64,
    passed_ms: AtomicU64,
}

impl SetClock {
    /// It begins at this moment, Unix milliseconds.
    pub(super) fn new(began_ms: i64) -> Self {
        Self { began_ms, passed_ms: AtomicU64::new(0) }
    }

    /// So much time passes.
    pub(super) fn pass(&self, time: Duration) {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        // Alone in its run, it needs no exchange.
        self.passed_ms.store(self.passed_ms.load(Relaxed).saturating_add(ms), Relaxed);
    }
}

impl Clock for SetClock {
    fn unix_ms(&self) -> i64 {
        self.began_ms.saturating_add_unsigned(self.passed_ms.load(Relaxed))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.passed_ms.load(Relaxed))
    }
}
