//! Small writes of HTTP/1 go out together: a head and a short body in one segment. Pingora 0.9.1 has a buffer for that in
//! every connection for as long as it is open; here there is one while something is in it.

use super::{GuardedStream, Window};
use bytes::{Buf as _, BytesMut};
use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::AsyncWrite as _;

/// About one segment.
const GATHERED_BYTES: usize = 1460;

impl GuardedStream {
    /// What is written from now on goes out as it is: whoever writes has put it together already.
    pub fn write_through(&mut self) {
        self.is_gathering = false;
    }

    fn is_gathering(&self) -> bool {
        self.is_gathering && !matches!(self.body, Window::Open)
    }

    /// Gathers what is small; says how much was taken, or that it is to be written as it is.
    pub(super) fn poll_gather(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<Option<usize>>> {
        let bytes = bufs.iter().map(|buf| buf.len()).sum::<usize>();
        let is_small = self.is_gathering() && bytes <= GATHERED_BYTES;
        if !is_small || self.gathered.len() + bytes > GATHERED_BYTES {
            ready!(self.poll_gathered(cx))?;
        }
        if !is_small {
            return Poll::Ready(Ok(None));
        }
        self.gathered.reserve(GATHERED_BYTES - self.gathered.len());
        bufs.iter().for_each(|buf| self.gathered.extend_from_slice(buf));
        Poll::Ready(Ok(Some(bytes)))
    }

    /// Writes what was gathered.
    pub(super) fn poll_gathered(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.gathered.is_empty() {
            let written = ready!(Pin::new(&mut self.inner).poll_write(cx, &self.gathered))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.gathered.advance(written);
        }
        self.gathered = BytesMut::new();
        Poll::Ready(Ok(()))
    }
}

impl Drop for GuardedStream {
    /// An answer that broke off is sent as far as it came: without its head a client would take it for none, and ask
    /// again.
    fn drop(&mut self) {
        if !self.gathered.is_empty() {
            let mut cx = Context::from_waker(std::task::Waker::noop());
            let _ = self.poll_gathered(&mut cx);
        }
    }
}
