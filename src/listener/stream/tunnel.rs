//! What a client sends once it speaks another protocol, for a handler that reads it without Pingora's body reader: that
//! one holds 64 KiB for each connection, for as long as it is open.

use super::GuardedStream;
use bytes::{Bytes, BytesMut};
use std::{
    io, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

/// Where a stream puts what has come whenever it is read from. It reads no more before that is taken.
#[derive(Debug, Default)]
pub struct Tunnel(Mutex<BytesMut>);

impl Tunnel {
    /// What has come since the last time, if anything.
    #[must_use]
    pub fn take(&self) -> Option<Bytes> {
        Some(mem::take(&mut *self.come())).filter(|come| !come.is_empty()).map(BytesMut::freeze)
    }

    /// Nothing under this lock can panic half way through.
    fn come(&self) -> MutexGuard<'_, BytesMut> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl GuardedStream {
    /// The client's wish to switch protocols was granted, and a handler speaks the other one: what comes is put here.
    /// Whoever reads from the stream is told its end alone.
    pub fn tunnel(&self) -> Arc<Tunnel> {
        Arc::clone(self.lent.tunnel.get_or_init(Arc::default))
    }

    pub(super) fn poll_tunnel(&mut self, tunnel: &Tunnel, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Nobody is woken for what has come: the handler looks for it after each read.
        if tunnel.come().is_empty() {
            if self.ahead.is_empty() && ready!(self.poll_fill(cx))? == 0 {
                return Poll::Ready(Ok(()));
            }
            *tunnel.come() = mem::take(&mut self.ahead);
        }
        Poll::Pending
    }
}
