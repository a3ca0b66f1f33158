//! Waiting for a client, never without an end.

use super::stream::GuardedStream;
use futures_util::future::maybe_done;
use pingora_core::server::ShutdownWatch;
use std::{
    future::{Future, poll_fn},
    pin::Pin,
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until};

/// A client that begins, or goes on after an answer, mostly does so within this time. To close before would lose what it
/// sends at that moment, which it must not send again by itself where it is no safe method (RFC 9110 section 9.2.2).
const STILL: Duration = Duration::from_millis(500);

/// What the waits of one connection share: its place among those that are told of a stop, and its timer. To take both anew
/// for every request cost as much as to read the request's head.
pub(super) struct Patience {
    /// Can be waited for again once it has come.
    stop: Pin<Box<dyn Future<Output = ()> + Send>>,
    timer: Timer,
}

impl Patience {
    /// That of one connection.
    pub(super) fn new(shutdown: &ShutdownWatch) -> Self {
        let mut shutdown = shutdown.clone();
        // The other end lives on until the last connection has ended.
        let stop = async move { drop(shutdown.wait_for(|stops| *stops).await) };
        Self { stop: Box::pin(maybe_done(stop)), timer: Timer::default() }
    }

    /// Waits until something is ahead. False where nothing comes in `wait`, the connection ends, or the gateway stops and
    /// nothing has come for a moment.
    pub(super) async fn begun(&mut self, stream: &mut GuardedStream, wait: Duration) -> bool {
        if !stream.ahead().is_empty() {
            return true;
        }
        let since = Instant::now();
        let Self { stop, timer } = self;
        tokio::select! {
            // What has arrived is served, even when the gateway stops at that moment.
            biased;
            read = fill(stream) => read > 0,
            () = timer.until(since + wait) => false,
            () = stopped(stop, Some(since)) => false,
        }
    }

    /// Waits until the gateway stops, and a client whose request is awaited `since` then has had a moment for it.
    pub(super) async fn stopped(&mut self, since: Option<Instant>) {
        stopped(&mut self.stop, since).await;
    }
}

async fn stopped(stop: &mut (impl Future<Output = ()> + Unpin), since: Option<Instant>) {
    stop.await;
    if let Some(since) = since {
        sleep_until(since + STILL).await;
    }
}

/// A time-out that is put off for every request and hardly ever comes: how far it was put off is looked at when it does.
#[derive(Default)]
struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    async fn until(&mut self, due: Instant) {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if sleep.deadline() > due {
            sleep.as_mut().reset(due);
        }
        loop {
            sleep.as_mut().await;
            if sleep.deadline() >= due {
                return;
            }
            sleep.as_mut().reset(due);
        }
    }
}

/// Waits for more bytes ahead; 0 at the end of the connection, which a broken one is too.
pub(super) async fn fill(stream: &mut GuardedStream) -> usize {
    poll_fn(|cx| stream.poll_fill(cx)).await.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_timer_comes_when_it_is_due_last() {
        let begin = Instant::now();
        let mut timer = Timer::default();
        let seconds = |seconds: u64| begin + Duration::from_secs(seconds);
        for (put_off_to, now) in [(10, 9), (15, 11), (12, 11)] {
            tokio::select! {
                () = timer.until(seconds(put_off_to)) => panic!("due at {put_off_to}, came ahead of {now}"),
                () = sleep_until(seconds(now)) => {}
            }
        }
        timer.until(seconds(13)).await;
        assert_eq!(begin.elapsed(), Duration::from_secs(13));
    }
}
