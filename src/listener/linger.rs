//! The end of an HTTP/1 connection whose client is still sending.
//!
//! Closing a socket that has unread bytes resets it, and the reset can overtake the answer and destroy it. So the
//! sending side is closed first, and what comes is read and dropped for a while (RFC 9112 section 9.6). Nothing of it
//! is kept, and the server's session is over by then: such a connection costs its socket and a small task.

use super::caps::Slot;
use bytes::BytesMut;
use pingora_core::protocols::Stream;
use std::{
    future::poll_fn,
    io,
    mem::MaybeUninit,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf},
    time::{Instant, timeout, timeout_at},
};

/// How long a client that has its answer may pause, and how long it may go on sending in all.
const PAUSE: Duration = Duration::from_secs(2);
const TOTAL: Duration = Duration::from_secs(30);
/// The most that is read and dropped, in bytes.
const BYTES_MAX: usize = 1 << 30;
/// Read at once, on the stack.
const READ_BYTES: usize = 16 << 10;

/// A connection that was dropped while its client was sending.
#[derive(Debug)]
pub(super) struct Unfinished {
    pub(super) stream: Stream,
    /// Written, and not sent yet.
    pub(super) unsent: BytesMut,
    /// Whether the sending side is closed already.
    pub(super) is_shut: bool,
    pub(super) slot: Option<Slot>,
}

/// Where a connection is left to by whoever drops its stream.
#[derive(Debug, Clone, Default)]
pub(super) struct Remains(Arc<Mutex<Option<Box<Unfinished>>>>);

impl Remains {
    pub(super) fn leave(&self, unfinished: Unfinished) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(unfinished));
    }

    /// Ends a connection that was left, so that its client gets its answer. `write` bounds what is still to be sent.
    pub(super) async fn settle(&self, write: Duration) {
        let left = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(left) = left else { return };
        let Unfinished { mut stream, unsent, is_shut, slot: _slot } = *left;
        if !is_shut {
            let closing = async {
                stream.write_all(&unsent).await?;
                stream.shutdown().await
            };
            if !matches!(timeout(write, closing).await, Ok(Ok(()))) {
                return;
            }
        }
        linger(&mut stream).await;
    }
}

/// Reads and drops what comes until the client closes, pauses for long, or has had its time.
pub(super) async fn linger(stream: &mut Stream) {
    let until = Instant::now() + TOTAL;
    let mut left = BYTES_MAX;
    while left > 0 {
        let pause = until.min(Instant::now() + PAUSE);
        match timeout_at(pause, poll_fn(|cx| poll_drop(stream, cx))).await {
            Ok(Ok(read @ 1..)) => left = left.saturating_sub(read),
            _ => return,
        }
    }
}

fn poll_drop(stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
    let mut scratch = [MaybeUninit::uninit(); READ_BYTES];
    let mut scratch = ReadBuf::uninit(&mut scratch);
    ready!(Pin::new(stream).poll_read(cx, &mut scratch))?;
    Poll::Ready(Ok(scratch.filled().len()))
}
