//! Where an event stream goes out once it was handed over: a client's connection, or its stream on one, with nothing of
//! Pingora's around it. A proxied request's future and session take some 25 KiB, which an idle stream would hold for as
//! long as it is open.

mod http1;
mod http2;

pub(super) use http1::Framing;

use super::{
    handover::{Attendance, Record},
    reply::PART_BYTES,
};
use crate::listener::GuardedStream;
use bytes::Bytes;
use h2::SendStream;
use http::HeaderMap;
use http1::Http1;
use http2::Http2;
use std::{
    future::poll_fn,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::timeout;

/// The client has gone, or does not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client has gone, or does not read")]
pub struct Gone;

/// How the answer to a stream ends.
#[derive(Debug)]
pub enum Last {
    /// With these bytes of its body.
    Body(Bytes),
    /// With trailers, where the protocol has them.
    Trailers(HeaderMap),
}

/// A client's side of a stream. Dropped, it is cut off.
pub struct Outlet {
    line: Line,
    record: Record,
    /// How long a client may take to read a part.
    write: Duration,
    _attendance: Attendance,
}

pub(super) enum Line {
    Http1(Http1),
    Http2(Http2),
}

impl Line {
    pub(super) fn http1(stream: Box<GuardedStream>, framing: Framing) -> Self {
        Self::Http1(Http1::new(stream, framing))
    }

    pub(super) fn http2(stream: SendStream<Bytes>) -> Self {
        Self::Http2(Http2::new(stream))
    }

    fn put(&mut self, piece: Bytes, is_last: bool) {
        match self {
            Self::Http1(line) => line.put(piece, is_last),
            Self::Http2(line) => line.put(piece, is_last),
        }
    }

    fn unsent(&self) -> usize {
        match self {
            Self::Http1(line) => line.unsent(),
            Self::Http2(line) => line.unsent(),
        }
    }

    /// Sends what was put, until no more than `left` of it is unsent.
    fn poll_send(&mut self, cx: &mut Context<'_>, left: usize) -> Poll<Result<(), Gone>> {
        match self {
            Self::Http1(line) => line.poll_send(cx, left),
            Self::Http2(line) => line.poll_send(cx, left),
        }
    }
}

impl Outlet {
    pub(super) fn new(line: Line, record: Record, write: Duration, attendance: Attendance) -> Self {
        Self { line, record, write, _attendance: attendance }
    }

    /// What the log will say of it.
    pub fn record(&mut self) -> &mut Record {
        &mut self.record
    }

    /// Waits for what the client says; for most that it has gone is all.
    pub fn poll_heard(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Gone>> {
        match &mut self.line {
            Line::Http1(line) => line.poll_heard(cx),
            Line::Http2(line) => line.poll_gone(cx).map(Err),
        }
    }

    /// Has a piece sent, once what was put before it is.
    pub fn put(&mut self, piece: Bytes) {
        self.record.bytes_out += piece.len() as u64;
        self.line.put(piece, false);
    }

    /// Sends what was put as far as that goes without waiting. Whether it was all.
    ///
    /// # Errors
    /// Where the client has gone.
    pub async fn send_at_once(&mut self) -> Result<bool, Gone> {
        match poll_fn(|cx| Poll::Ready(self.line.poll_send(cx, 0))).await {
            Poll::Ready(sent) => sent.map(|()| true),
            Poll::Pending => Ok(false),
        }
    }

    /// Sends what was put. Each part of it has its time.
    ///
    /// # Errors
    /// Where the client has gone, or does not read.
    pub async fn send(&mut self) -> Result<(), Gone> {
        loop {
            let left = self.line.unsent().saturating_sub(PART_BYTES);
            timeout(self.write, poll_fn(|cx| self.line.poll_send(cx, left))).await.map_err(|_| Gone)??;
            if left == 0 {
                return Ok(());
            }
        }
    }

    /// Sends a piece.
    ///
    /// # Errors
    /// Where the client has gone, or does not read.
    pub async fn write(&mut self, piece: Bytes) -> Result<(), Gone> {
        self.put(piece);
        self.send().await
    }

    /// Sends the end of the answer.
    ///
    /// # Errors
    /// Where the client has gone, or does not read.
    pub async fn end(&mut self, last: Last) -> Result<(), Gone> {
        let body = match (last, &mut self.line) {
            (Last::Trailers(trailers), Line::Http2(line)) => return line.send_trailers(trailers),
            // Pingora speaks no trailers there either: a caller of gRPC over HTTP/1 finds none.
            (Last::Trailers(_), Line::Http1(_)) => Bytes::new(),
            (Last::Body(body), _) => body,
        };
        self.record.bytes_out += body.len() as u64;
        self.line.put(body, true);
        self.send().await
    }

    /// Takes leave of the client: the log has its line, and a connection of HTTP/1 is closed so that what was sent
    /// arrives.
    pub async fn close(self) {
        let Self { line, record, .. } = self;
        drop(record);
        if let Line::Http1(line) = line {
            line.close().await;
        }
    }
}
