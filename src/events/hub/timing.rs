//! What happens by the clock: heartbeats, and the end.

use super::{
    Hub,
    stream::{EndReason, Stream},
};
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

/// The timer's ticks in a heartbeat interval: a heartbeat comes after the interval and within an eighth of it more.
const TICKS: u32 = 8;
/// So many streams are looked at under one lock.
const AT_ONCE: usize = 1024;
/// How finely the end of all streams is spread.
const STEP: Duration = Duration::from_millis(10);

impl Hub {
    /// Sends heartbeats on silent streams, and forgets what is too old, until it is dropped. One timer for all.
    pub async fn keep_time(self: Arc<Self>) {
        let mut ticks = interval(self.limits.heartbeat / TICKS);
        // After a stall, ticks in a row would call streams silent that had no time to be anything else.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let tick = self.tick.fetch_add(1, Relaxed).wrapping_add(1);
            self.state().history.forget_old(Instant::now());
            self.remind_silent(tick).await;
        }
    }

    async fn remind_silent(&self, tick: u32) {
        let mut silent: Vec<Arc<Stream>> = Vec::new();
        let is_silent = |stream: &&Arc<Stream>| tick.wrapping_sub(stream.sent_at.load(Relaxed)) > TICKS;
        let mut from = 0;
        while from < self.open_streams() {
            silent.extend(self.state().registry.part(from, AT_ONCE).filter(is_silent).cloned());
            silent.drain(..).for_each(|stream| stream.remind());
            from += AT_ONCE;
            tokio::task::yield_now().await;
        }
    }

    fn open_streams(&self) -> usize {
        self.state().registry.len()
    }

    /// Takes no more streams. Those that are open are somebody else's to end.
    pub fn take_no_more(&self) {
        self.state().is_closing = true;
    }

    /// Takes no more streams and ends those that are open, evenly over `window`: their clients then come to other
    /// instances one after the other. What waits in a queue is still delivered. Returns when the last was told.
    pub async fn shut_down(&self, window: Duration) {
        let streams: Vec<Arc<Stream>> = {
            let mut state = self.state();
            state.is_closing = true;
            state.registry.part(0, usize::MAX).cloned().collect()
        };
        spread(streams, window, |stream| {
            stream.end(EndReason::ShuttingDown, None);
        })
        .await;
    }
}

/// Does something to each of them, evenly over `window`.
pub async fn spread<T>(all: Vec<T>, window: Duration, mut each: impl FnMut(T)) {
    let begun = Instant::now();
    let count = all.len();
    let mut left = all.into_iter();
    while left.len() > 0 {
        // The first goes at once, the last at the end of the window.
        let due = match window.as_millis() {
            0 => count as u128,
            window_ms => count as u128 * begun.elapsed().as_millis() / window_ms + 1,
        };
        let done = (count - left.len()) as u128;
        let due = usize::try_from(due.saturating_sub(done)).unwrap_or(usize::MAX);
        left.by_ref().take(due).for_each(&mut each);
        if left.len() > 0 {
            sleep_until(Instant::now() + STEP.min(window)).await;
        }
    }
}
