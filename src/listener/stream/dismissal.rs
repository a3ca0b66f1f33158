//! The word to a stream that it is to end, for whoever serves it.

use futures_util::task::AtomicWaker;
use std::{
    future::poll_fn,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    task::{Context, Poll},
};

/// Whether a stream is to end. One waits for it at a time.
#[derive(Debug, Default)]
pub struct Dismissal {
    is_given: AtomicBool,
    waker: AtomicWaker,
}

impl Dismissal {
    /// It is to end.
    pub fn give(&self) {
        self.is_given.store(true, Relaxed);
        // This orders what was stored before.
        self.waker.wake();
    }

    /// Waits until it is given.
    pub async fn given(&self) {
        poll_fn(|cx| self.poll_given(cx)).await;
    }

    pub(super) fn poll_given(&self, cx: &Context<'_>) -> Poll<()> {
        if self.is_given.load(Relaxed) {
            return Poll::Ready(());
        }
        self.waker.register(cx.waker());
        if self.is_given.load(Relaxed) { Poll::Ready(()) } else { Poll::Pending }
    }
}
