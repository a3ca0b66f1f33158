//! Whether anybody is calling.

use crate::listener::Caps;
use filters::api::Clock;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// When the last request came, the admin listener's apart.
pub struct Activity {
    clock: Arc<dyn Clock>,
    caps: Arc<Caps>,
    /// Milliseconds of the monotonic clock, plus one; 0 before the first request.
    last_ms: AtomicU64,
}

impl Activity {
    /// Of a process that nobody has called yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, caps: Arc<Caps>) -> Self {
        Self { clock, caps, last_ms: AtomicU64::new(0) }
    }

    /// A request came.
    pub fn note(&self) {
        self.last_ms.store(self.now_ms().saturating_add(1), Relaxed);
    }

    /// Whether no connection is open and no request has come for so long.
    #[must_use]
    pub fn is_idle_for(&self, long: Duration) -> bool {
        let last_ms = self.last_ms.load(Relaxed);
        let is_quiet = last_ms == 0 || Duration::from_millis(self.now_ms().saturating_sub(last_ms)) >= long;
        is_quiet && self.caps.open() == 0
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.clock.monotonic().as_millis()).unwrap_or(u64::MAX)
    }
}
