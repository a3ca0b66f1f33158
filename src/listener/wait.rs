//! Waiting for a client, never without an end.

use super::stream::GuardedStream;
use pingora_core::server::ShutdownWatch;
use pingora_timeout::timeout;
use std::{future::poll_fn, time::Duration};

/// Waits until something is ahead. False where nothing comes in `wait`, the connection ends, or the gateway stops.
///
/// Pingora's timer, not tokio's: it is set and dropped for every request, and takes no lock for that.
pub(super) async fn begun(stream: &mut GuardedStream, wait: Duration, stops: &mut ShutdownWatch) -> bool {
    if !stream.ahead().is_empty() {
        return true;
    }
    tokio::select! {
        // What has arrived is served, even when the gateway stops at that moment.
        biased;
        read = timeout(wait, fill(stream)) => matches!(read, Ok(1..)),
        _ = stops.wait_for(|stops| *stops) => false,
    }
}

/// Waits for more bytes ahead; 0 at the end of the connection, which a broken one is too.
pub(super) async fn fill(stream: &mut GuardedStream) -> usize {
    poll_fn(|cx| stream.poll_fill(cx)).await.unwrap_or(0)
}
