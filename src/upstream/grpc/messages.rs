//! A caller's messages on their way to whoever answers.

use bytes::Bytes;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};
use tokio::sync::mpsc::{self, Permit};

/// Messages that are read ahead of the upstream: enough that neither side waits for the other's turn.
const AHEAD: usize = 2;

/// The caller's messages did not come to their end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the caller's messages did not come to their end")]
pub struct Broken;

/// Where a caller's messages go in.
#[derive(Debug)]
pub struct Sender {
    messages: mpsc::Sender<Bytes>,
    is_complete: Arc<AtomicBool>,
}

/// Where they come out.
#[derive(Debug)]
pub struct Messages {
    messages: mpsc::Receiver<Bytes>,
    is_complete: Arc<AtomicBool>,
}

/// A way for messages. What is dropped unfinished never looks like an end to whoever reads: half an upload is no
/// upload.
#[must_use]
pub fn channel() -> (Sender, Messages) {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let is_complete = Arc::new(AtomicBool::new(false));
    (Sender { messages: sender, is_complete: Arc::clone(&is_complete) }, Messages { messages: receiver, is_complete })
}

impl Sender {
    /// Waits for room; none where nobody reads any more. Can be dropped while it waits.
    pub async fn room(&self) -> Option<Permit<'_, Bytes>> {
        self.messages.reserve().await.ok()
    }

    /// Says that these were all.
    pub fn finish(self) {
        self.is_complete.store(true, Ordering::Release);
    }
}

impl Messages {
    /// The next message; none behind the last.
    ///
    /// # Errors
    /// Where the caller broke off.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        let next = ready!(self.messages.poll_recv(cx));
        let is_broken = next.is_none() && !self.is_complete.load(Ordering::Acquire);
        Poll::Ready(if is_broken { Some(Err(Broken)) } else { next.map(Ok) })
    }
}
