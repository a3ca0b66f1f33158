//! A limit on how often one thing says one thing.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Lets one of many through, at most one in each period.
pub struct Rarely {
    period: Duration,
    last: Mutex<Option<(Instant, u64)>>,
}

impl Rarely {
    /// At most one in each period.
    #[must_use]
    pub fn new(period: Duration) -> Self {
        Self { period, last: Mutex::new(None) }
    }

    /// Whether this one is let through. It is given how many were not since the last.
    pub fn due(&self, now: Instant) -> Option<u64> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *last {
            Some((then, more)) if now.saturating_duration_since(*then) < self.period => {
                *more = more.saturating_add(1);
                None
            }
            due => Some(due.replace((now, 0)).map_or(0, |(_, more)| more)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_many_is_let_through_and_the_others_are_counted() {
        let (rarely, now) = (Rarely::new(Duration::from_secs(60)), Instant::now());
        let seconds = [0, 0, 1, 59, 60, 61, 300, 301];
        let due = seconds.map(|second| rarely.due(now + Duration::from_secs(second)));
        assert_eq!(due, [Some(0), None, None, None, Some(3), None, Some(1), None]);
    }
}
