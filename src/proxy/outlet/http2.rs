//! A stream of HTTP/2, of which nothing is kept but its way out.

use super::Gone;
use bytes::Bytes;
use h2::SendStream;
use http::HeaderMap;
use std::task::{Context, Poll, ready};

pub(in crate::proxy) struct Http2 {
    stream: SendStream<Bytes>,
    unsent: Bytes,
    /// Whether the stream ends with what is unsent.
    is_last: bool,
}

impl Http2 {
    pub(super) fn new(stream: SendStream<Bytes>) -> Self {
        Self { stream, unsent: Bytes::new(), is_last: false }
    }

    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Gone> {
        self.stream.poll_reset(cx).map(|_| Gone)
    }

    pub(super) fn put(&mut self, piece: Bytes, is_last: bool) {
        (self.unsent, self.is_last) = (piece, is_last);
    }

    pub(super) fn unsent(&self) -> usize {
        self.unsent.len()
    }

    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>, left: usize) -> Poll<Result<(), Gone>> {
        while self.unsent.len() > left {
            self.stream.reserve_capacity(self.unsent.len());
            let mut room = self.stream.capacity();
            if room == 0 {
                match ready!(self.stream.poll_capacity(cx)) {
                    Some(Ok(granted)) => room = granted,
                    Some(Err(_)) | None => return Poll::Ready(Err(Gone)),
                }
            }
            let part = self.unsent.split_to(room.min(self.unsent.len()));
            if !part.is_empty() {
                let is_end = self.is_last && self.unsent.is_empty();
                self.stream.send_data(part, is_end).map_err(|_| Gone)?;
                self.is_last &= !is_end;
            }
        }
        if left == 0 && self.is_last {
            self.is_last = false;
            self.stream.send_data(Bytes::new(), true).map_err(|_| Gone)?;
        }
        Poll::Ready(Ok(()))
    }

    pub(super) fn send_trailers(&mut self, trailers: HeaderMap) -> Result<(), Gone> {
        self.stream.send_trailers(trailers).map_err(|_| Gone)
    }
}
