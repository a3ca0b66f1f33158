//! Waiting for a client, never without an end.

use super::stream::GuardedStream;
use pingora_core::server::ShutdownWatch;
use pingora_timeout::timeout;
use std::{future::poll_fn, time::Duration};
use tokio::time::{Instant, sleep_until};

/// A client that begins, or goes on after an answer, mostly does so within this time. To close before would lose what it
/// sends at that moment, which it must not send again by itself where it is no safe method (RFC 9110 section 9.2.2).
const STILL: Duration = Duration::from_millis(500);

/// Waits until something is ahead. False where nothing comes in `wait`, the connection ends, or the gateway stops and
/// nothing has come for a moment.
///
/// Pingora's timer, not tokio's: it is set and dropped for every request, and takes no lock for that.
pub(super) async fn begun(stream: &mut GuardedStream, wait: Duration, stops: &mut ShutdownWatch) -> bool {
    if !stream.ahead().is_empty() {
        return true;
    }
    let since = Instant::now();
    tokio::select! {
        // What has arrived is served, even when the gateway stops at that moment.
        biased;
        read = timeout(wait, fill(stream)) => matches!(read, Ok(1..)),
        () = stopped(stops, Some(since)) => false,
    }
}

/// Waits until the gateway stops, and a client whose request is awaited `since` then has had a moment for it.
pub(super) async fn stopped(stops: &mut ShutdownWatch, since: Option<Instant>) {
    // The other end lives on until the last connection has ended.
    drop(stops.wait_for(|stops| *stops).await);
    if let Some(since) = since {
        sleep_until(since + STILL).await;
    }
}

/// Waits for more bytes ahead; 0 at the end of the connection, which a broken one is too.
pub(super) async fn fill(stream: &mut GuardedStream) -> usize {
    poll_fn(|cx| stream.poll_fill(cx)).await.unwrap_or(0)
}
