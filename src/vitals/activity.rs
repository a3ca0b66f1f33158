//! Whether anybody is calling.

use crate::listener::Caps;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// When the last request came, the admin listener's apart.
pub struct Activity {
    caps: Arc<Caps>,
    began: Instant,
    /// Milliseconds since `began`, plus one; 0 before the first request.
    last_ms: AtomicU64,
}

impl Activity {
    /// Of a process that nobody has called yet.
    #[must_use]
    pub fn new(caps: Arc<Caps>) -> Self {
        Self { caps, began: Instant::now(), last_ms: AtomicU64::new(0) }
    }

    /// A request came, then.
    pub fn note(&self, then: Instant) {
        self.last_ms.store(self.since_began(then).saturating_add(1), Relaxed);
    }

    /// Whether no connection is open and no request has come for so long.
    #[must_use]
    pub fn is_idle_for(&self, long: Duration) -> bool {
        let last_ms = self.last_ms.load(Relaxed);
        let quiet_ms = self.since_began(Instant::now()).saturating_sub(last_ms);
        (last_ms == 0 || Duration::from_millis(quiet_ms) >= long) && self.caps.open() == 0
    }

    /// How many connections are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.caps.open()
    }

    fn since_began(&self, then: Instant) -> u64 {
        u64::try_from(then.saturating_duration_since(self.began).as_millis()).unwrap_or(u64::MAX)
    }
}
