//! The stream that Pingora is given: it yields one request and nothing of the next.

mod dismissal;
mod ending;
mod gather;
mod half_closed;
mod lent;
mod stall;
mod transport;

pub use dismissal::Dismissal;
pub use lent::{Ended, Overdue};

use super::{
    caps::Slot,
    chunked::Chunked,
    head::{Body, Head},
    linger::Remains,
    parting::Traffic,
    rules::ListenerId,
};
use bytes::{Buf, Bytes, BytesMut};
use half_closed::HalfClosed;
use lent::Lent;
use pingora_core::protocols::Stream;
use stall::Stall;
use std::{
    io,
    mem::{self, MaybeUninit},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, ReadBuf},
    time::Sleep,
};

/// Read at once while a head is looked for, on the stack: an idle connection holds no buffer.
const READ_BYTES: usize = 4 << 10;
/// A head's buffer larger than this is given back after its request.
const KEPT_BYTES: usize = 4 << 10;

/// A connection behind the guard.
///
/// While a request is served it yields that request's head, which has been checked, and then its body up to the
/// last byte. What a client sends ahead of its next request stays here, so a body can never be read as a request
/// nor a request as a body, whatever the reader does; and the next request passes the guard like the first.
#[derive(Debug)]
pub struct GuardedStream {
    inner: Stream,
    /// Read from the connection, and not handed out.
    ahead: BytesMut,
    /// How many bytes at the beginning of `ahead` are the current request's head.
    head: usize,
    body: Window,
    /// Whether the client asked for another protocol after this request.
    may_switch: bool,
    /// Written, and not sent.
    gathered: BytesMut,
    /// How long it has been.
    waited: Option<Pin<Box<Sleep>>>,
    is_gathering: bool,
    stall: Stall,
    /// Whether the sending side was closed.
    is_shut: bool,
    /// What is waited for since the client has closed its sending side.
    half_closed: Option<HalfClosed>,
    lent: Lent,
    /// Noted for HTTP/2 alone.
    traffic: Option<Arc<Traffic>>,
    /// Who ends the connection where the client is still sending when this is dropped.
    remains: Remains,
    listener: ListenerId,
    slot: Option<Slot>,
}

/// What may still be handed out after the head.
#[derive(Debug)]
enum Window {
    /// Everything.
    Open,
    Length(u64),
    Chunked(Chunked),
}

impl GuardedStream {
    pub(super) fn new(inner: Stream, listener: ListenerId, slot: Option<Slot>) -> Self {
        let body = Window::Length(0);
        Self {
            inner,
            ahead: BytesMut::new(),
            head: 0,
            body,
            may_switch: false,
            gathered: BytesMut::new(),
            waited: None,
            is_gathering: true,
            stall: Stall::default(),
            is_shut: false,
            half_closed: None,
            lent: Lent::new(),
            traffic: None,
            remains: Remains::default(),
            listener,
            slot,
        }
    }

    /// The listener that this connection came in on.
    #[must_use]
    pub fn listener(&self) -> ListenerId {
        self.listener
    }

    /// What was read and belongs to no request yet.
    pub(super) fn ahead(&self) -> &[u8] {
        &self.ahead
    }

    /// Reads more of what is to come; 0 at the end of the connection.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut scratch = [MaybeUninit::uninit(); READ_BYTES];
        let mut scratch = ReadBuf::uninit(&mut scratch);
        ready!(Pin::new(&mut self.inner).poll_read(cx, &mut scratch))?;
        self.ahead.extend_from_slice(scratch.filled());
        Poll::Ready(Ok(scratch.filled().len()))
    }

    /// What the client sends after its request, in whatever protocol; nothing at its end. For whoever has the stream back
    /// from Pingora, whose body reader would hold 64 KiB for each.
    pub fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        if self.ahead.is_empty() {
            ready!(self.poll_fill(cx))?;
        }
        Poll::Ready(Ok(mem::take(&mut self.ahead).freeze()))
    }

    /// Hands out the request with this head, and no more.
    pub(super) fn admit(&mut self, head: &Head) {
        let start = head.settle(&mut self.ahead);
        self.ahead.advance(start);
        self.head = head.bytes.end - start;
        self.may_switch = head.upgrade;
        self.lent.reset();
        self.body = match head.body {
            Body::None => Window::Length(0),
            Body::Length(bytes) => Window::Length(bytes),
            Body::Chunked => Window::Chunked(Chunked::default()),
        };
    }

    /// Hands out everything from now on: what HTTP/2 needs, which frames its requests itself. Gives what moves.
    pub(super) fn open(&mut self) -> Arc<Traffic> {
        self.body = Window::Open;
        Arc::clone(self.traffic.insert(Arc::default()))
    }

    /// After a request: whether its last byte was handed out, so that what is ahead is the next request.
    pub(super) fn is_between_requests(&mut self) -> bool {
        if self.ahead.is_empty() && self.ahead.capacity() > KEPT_BYTES {
            self.ahead = BytesMut::new();
        }
        self.head == 0 && self.body.is_spent()
    }

    /// How long a write may wait for the client to take something.
    pub(super) fn limit_writes(&mut self, limit: Duration) {
        self.stall.set_limit(limit);
    }

    fn poll_body(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.body {
            Window::Open if self.ahead.is_empty() => {
                ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
                if let Some(traffic) = &self.traffic {
                    traffic.read();
                }
                Poll::Ready(Ok(()))
            }
            Window::Open => {
                let bytes = self.ahead.len().min(buf.remaining());
                hand_out(&mut self.ahead, bytes, buf);
                if self.ahead.is_empty() {
                    self.ahead = BytesMut::new();
                }
                Poll::Ready(Ok(()))
            }
            Window::Length(left) if self.ahead.is_empty() => {
                let mut limited = (&mut self.inner).take(*left);
                let polled = Pin::new(&mut limited).poll_read(cx, buf);
                *left = limited.limit();
                polled
            }
            Window::Length(left) => {
                let most = usize::try_from(*left).unwrap_or(usize::MAX);
                let bytes = self.ahead.len().min(buf.remaining()).min(most);
                hand_out(&mut self.ahead, bytes, buf);
                *left -= bytes as u64;
                Poll::Ready(Ok(()))
            }
            Window::Chunked(chunked) => {
                if self.ahead.is_empty() {
                    let before = buf.filled().len();
                    ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
                    let read = buf.filled().get(before..).unwrap_or_default();
                    let of_body = chunked.follow(read).map_err(invalid)?;
                    // The next request came in the same read.
                    self.ahead.extend_from_slice(read.get(of_body..).unwrap_or_default());
                    buf.set_filled(before + of_body);
                } else {
                    let most = self.ahead.len().min(buf.remaining());
                    let bytes = chunked.follow(self.ahead.get(..most).unwrap_or_default()).map_err(invalid)?;
                    hand_out(&mut self.ahead, bytes, buf);
                }
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl Window {
    fn is_spent(&self) -> bool {
        match self {
            Self::Open => false,
            Self::Length(left) => *left == 0,
            Self::Chunked(chunked) => chunked.is_done(),
        }
    }
}

fn hand_out(ahead: &mut BytesMut, bytes: usize, buf: &mut ReadBuf<'_>) {
    buf.put_slice(ahead.get(..bytes).unwrap_or_default());
    ahead.advance(bytes);
}

fn invalid(fault: super::chunked::ChunkFault) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, fault)
}

impl AsyncRead for GuardedStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if this.head > 0 {
            let bytes = this.head.min(buf.remaining());
            hand_out(&mut this.ahead, bytes, buf);
            this.head -= bytes;
            return Poll::Ready(Ok(()));
        }
        this.poll_waited(cx);
        if let Poll::Ready(overdue) = this.lent.poll_due(cx) {
            return Poll::Ready(Err(overdue));
        }
        if this.body.is_spent() {
            if !this.lent.has_switched() {
                return this.poll_end(cx);
            }
            this.body = Window::Open;
        }
        this.poll_body(cx, buf)
    }
}
