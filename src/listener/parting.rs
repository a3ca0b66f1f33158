//! The end of an HTTP/2 connection: what its client has not taken yet is still delivered.
//!
//! When the last stream is served, much of its answer may wait in the gateway and in the kernel's buffers. Whoever
//! closes then loses it: a client that takes it says so with window updates, and a closed socket answers those with a
//! reset, which destroys what is on its way.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
};
use tokio::time::Instant;

/// What moves on a connection, as its stream sees it.
///
/// Relaxed is enough: the stream is polled by the task that asks.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    /// Reads and writes that brought something on.
    moves: AtomicU64,
    /// Writes that had to wait for the client, and went on.
    taken: AtomicU64,
    /// Whether a write waits for the client.
    is_blocked: AtomicBool,
    is_parting: AtomicBool,
}

impl Traffic {
    /// Whether the connection ends in peace, and its client's last words are to be heard.
    pub(super) fn is_parting(&self) -> bool {
        self.is_parting.load(Relaxed)
    }

    /// Whether what was written waits for the client.
    pub(super) fn is_blocked(&self) -> bool {
        self.is_blocked.load(Relaxed)
    }

    pub(super) fn read(&self) {
        self.moves.fetch_add(1, Relaxed);
    }

    pub(super) fn wrote<T>(&self, polled: &Poll<T>) {
        if polled.is_ready() {
            self.moves.fetch_add(1, Relaxed);
        }
        self.flushed(polled);
    }

    /// Mostly there is nothing to flush, so that it went well is no move.
    pub(super) fn flushed<T>(&self, polled: &Poll<T>) {
        let was_blocked = self.is_blocked.swap(polled.is_pending(), Relaxed);
        if was_blocked && polled.is_ready() {
            self.taken.fetch_add(1, Relaxed);
        }
    }
}

/// How long a connection on which nothing is served any more is kept.
pub(super) struct Parting {
    traffic: Arc<Traffic>,
    moves: u64,
    taken: u64,
    until: Option<Instant>,
}

impl Parting {
    pub(super) fn new(traffic: Arc<Traffic>) -> Self {
        Self { traffic, moves: 0, taken: 0, until: None }
    }

    /// The client was told.
    pub(super) fn begin(&mut self) {
        self.traffic.is_parting.store(true, Relaxed);
    }

    pub(super) fn has_begun(&self) -> bool {
        self.traffic.is_parting()
    }

    /// Something is served once more.
    pub(super) fn put_off(&mut self) {
        self.until = None;
    }

    /// Asked again and again: whether something is still being delivered. A client that takes nothing of what waits
    /// for it has `write` for that, as during an answer; so has one that only chatters.
    pub(super) fn goes_on(&mut self, write: Duration) -> bool {
        let (moves, taken) = (self.traffic.moves.load(Relaxed), self.traffic.taken.load(Relaxed));
        let (has_moved, has_taken) = (moves != self.moves, taken != self.taken);
        (self.moves, self.taken) = (moves, taken);
        let now = Instant::now();
        if self.until.is_none() || has_taken {
            self.until = now.checked_add(write);
        }
        let is_alive = has_moved || has_taken || self.traffic.is_blocked.load(Relaxed);
        is_alive && self.until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const WRITE: Duration = Duration::from_secs(10);

    fn parting() -> (Arc<Traffic>, Parting) {
        let traffic = Arc::<Traffic>::default();
        (Arc::clone(&traffic), Parting::new(traffic))
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_client_is_left_at_once() {
        let (traffic, mut parting) = parting();
        traffic.wrote(&Poll::Ready(()));
        assert!(parting.goes_on(WRITE));
        traffic.flushed(&Poll::Ready(()));
        assert!(!parting.goes_on(WRITE));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_takes_what_waits_is_waited_for() {
        let (traffic, mut parting) = parting();
        traffic.wrote(&Poll::<()>::Pending);
        for _ in 0..5 {
            assert!(parting.goes_on(WRITE));
            advance(WRITE * 9 / 10).await;
            traffic.wrote(&Poll::Ready(()));
            traffic.wrote(&Poll::<()>::Pending);
        }
        assert!(parting.goes_on(WRITE));
        advance(WRITE).await;
        assert!(!parting.goes_on(WRITE));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_only_chatters_has_an_end_too() {
        let (traffic, mut parting) = parting();
        let second = Duration::from_secs(1);
        for _ in 0..10 {
            traffic.read();
            traffic.wrote(&Poll::Ready(()));
            assert!(parting.goes_on(WRITE));
            advance(second).await;
        }
        traffic.read();
        assert!(!parting.goes_on(WRITE));
        parting.put_off();
        traffic.read();
        assert!(parting.goes_on(WRITE));
    }
}
