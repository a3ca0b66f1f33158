//! How much a client may send that says nothing.

use std::time::Duration;
use tokio::time::Instant;

/// At once: more than two of the largest pings a second for a quarter of a minute.
const BURST_BYTES: u64 = 4 << 10;
/// From then on: two of the largest pings, or 42 of the smallest.
const BYTES_PER_SECOND: u64 = 256;
/// What a frame costs beside its payload: its head and its mask.
pub const FRAME_BYTES: u64 = 6;

/// What a client may still send beside its request: pings, pongs, and fragments of nothing. Each has to be read, and most
/// are answered.
#[derive(Debug)]
pub struct Allowance {
    bytes: u64,
    at: Instant,
}

impl Allowance {
    /// A whole one.
    #[must_use]
    pub fn new() -> Self {
        Self { bytes: BURST_BYTES, at: Instant::now() }
    }

    /// Whether so many bytes are within it.
    pub fn spend(&mut self, bytes: u64) -> bool {
        // Whole seconds alone: what is left of the last one counts the next time.
        let seconds = self.at.elapsed().as_secs();
        self.at += Duration::from_secs(seconds);
        self.bytes = self.bytes.saturating_add(seconds.saturating_mul(BYTES_PER_SECOND)).min(BURST_BYTES);
        match self.bytes.checked_sub(bytes) {
            Some(left) => {
                self.bytes = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn what_is_spent_comes_back_slowly() {
        let mut allowance = Allowance::new();
        assert!(allowance.spend(BURST_BYTES));
        assert!(!allowance.spend(1));
        advance(Duration::from_secs(1)).await;
        assert!(allowance.spend(BYTES_PER_SECOND));
        assert!(!allowance.spend(1));
        advance(Duration::from_secs(3600)).await;
        assert!(allowance.spend(BURST_BYTES));
        assert!(!allowance.spend(1), "no more is saved up");
    }
}
