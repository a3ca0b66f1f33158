//! A client of HTTP/1 that has closed its sending side after its request, and may still read.
//!
//! Of a client that is gone TCP says the same until something is sent to it, which it then answers with a reset. So the
//! request is served on for as long as the client is being answered, and a moment longer.

use super::GuardedStream;
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep};

/// How long such a client is waited with for something to send to it, before it is taken to be gone.
const WAIT: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub(super) struct HalfClosed {
    timer: Pin<Box<Sleep>>,
    wrote: Instant,
}

impl HalfClosed {
    fn new() -> Self {
        Self { timer: Box::pin(sleep(WAIT)), wrote: Instant::now() }
    }

    /// Comes once nothing was written for [`WAIT`].
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let due = self.wrote + WAIT;
            if due <= Instant::now() {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(due);
        }
    }
}

impl GuardedStream {
    /// Watches a client whose request was read to its last byte. Says of it only that it is gone, which Pingora ends the
    /// request for.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.half_closed.is_none() {
            // A client that has sent its next request is not watched further, or it could fill the memory.
            if !self.ahead.is_empty() || ready!(self.poll_fill(cx))? > 0 {
                return Poll::Pending;
            }
        }
        self.half_closed.get_or_insert_with(HalfClosed::new).poll_over(cx).map(Ok)
    }

    pub(super) fn note_write(&mut self) {
        if let Some(half_closed) = &mut self.half_closed {
            half_closed.wrote = Instant::now();
        }
    }
}
