//! The machine's own time.

use crate::api::Clock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The machine's own time.
#[derive(Debug, Clone)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// Its monotonic time begins now.
    #[must_use]
    pub fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn unix_ms(&self) -> i64 {
        // A clock before 1970 is a broken one; at 0 every command is ahead of it and refused.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_tells_the_time() {
        let clock = SystemClock::new();
        let (wall_ms, monotonic) = (clock.unix_ms(), clock.monotonic());
        assert!(wall_ms > 1_700_000_000_000, "before this was written");
        assert!(clock.monotonic() >= monotonic);
    }
}
