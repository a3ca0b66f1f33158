//! How a connection of HTTP/1 ends, by whomever it is dropped.

use super::{GuardedStream, Window};
use crate::listener::linger::{Remains, Unfinished, linger};
use bytes::BytesMut;
use pingora_core::protocols::{Shutdown as _, Ssl as _};
use std::{
    io::Cursor,
    mem,
    task::{Context, Waker},
};

impl GuardedStream {
    /// Where the connection is left to when this is dropped while the client is still sending.
    pub(in crate::listener) fn remains(&self) -> Remains {
        self.remains.clone()
    }

    /// Whether the client has sent, or is about to send, what nobody has read.
    fn is_unread(&self) -> bool {
        !matches!(self.body, Window::Open) && (!self.body.is_spent() || !self.ahead.is_empty())
    }

    /// Ends the connection so that a client which is still sending gets what was written.
    pub async fn close(&mut self) {
        self.shutdown().await;
        if self.is_unread() {
            self.ahead = BytesMut::new();
            linger(&mut self.inner).await;
            self.body = Window::Length(0);
        }
    }
}

impl Drop for GuardedStream {
    /// Sends what was gathered: without the head of an answer that broke off a client would take it for none, and ask
    /// again. A client that is still sending is left to whoever ends its connection.
    fn drop(&mut self) {
        // With TLS, closing in peace says that an answer which ends with the connection is whole (RFC 9112 section 9.8).
        let is_cut_short = self.lent.is_broken_off() && self.get_ssl_digest().is_some();
        if self.is_unread() && !is_cut_short {
            let stream = mem::replace(&mut self.inner, Box::new(Cursor::new(Vec::new())));
            let (unsent, slot) = (mem::take(&mut self.gathered), self.slot.take());
            self.remains.leave(Unfinished { stream, unsent, is_shut: self.is_shut, slot });
        } else if !self.gathered.is_empty() {
            let mut cx = Context::from_waker(Waker::noop());
            let _ = self.poll_gathered(&mut cx);
        }
    }
}
