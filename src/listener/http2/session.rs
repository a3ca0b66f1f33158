//! A stream of HTTP/2 as Pingora serves it.
//!
//! Pingora 0.9.1 has a session for these itself. It answers what it takes for malformed where nobody sees it, knows no
//! informational answers, cancels an answer that breaks off with what was written of it, and resets a stream while its
//! client still sends. This one goes through the door that Pingora has for protocols of others.

mod door;

use super::active::{Active, Served};
use bytes::{Bytes, BytesMut};
use h2::{RecvStream, SendStream, server::SendResponse};
use http::{
    HeaderName, Response, Version,
    header::{CONNECTION, CONTENT_LENGTH, DATE, EXPECT, TRANSFER_ENCODING, UPGRADE},
    request, response,
};
use pingora_core::{
    Error, ErrorType, OrErr as _, Result,
    protocols::{Digest, http::date::get_cached_date},
};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_timeout::timeout;
use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::runtime::Handle;

/// What Pingora can send once more, to another endpoint.
const KEPT_BYTES_MAX: usize = 64 << 10;
/// What is read and dropped of a body whose request has its answer.
const DRAINED_BYTES_MAX: usize = 16 << 20;
/// Fields of HTTP/1 connections, which an answer must not have (RFC 9113 section 8.2.2).
static CONNECTION_SPECIFIC: [HeaderName; 5] = [
    CONNECTION,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// A request, and the way for its answer.
pub(super) struct Session {
    request: RequestHeader,
    body: Body,
    /// There until a stream is broken off.
    respond: Option<SendResponse<Bytes>>,
    /// There once the answer has begun.
    answer: Option<SendStream<Bytes>>,
    /// The answer's status. Its headers are with h2.
    written: Option<ResponseHeader>,
    is_ended: bool,
    sent: usize,
    digest: Arc<Digest>,
    /// How long a client may take to make room for more.
    write: Option<Duration>,
    /// How long the rest of a body is waited for behind the answer.
    drain: Option<Duration>,
    active: Arc<Active>,
}

/// A request's body.
struct Body {
    /// None once its end was read.
    stream: Option<RecvStream>,
    /// Its first piece, where it was looked at ahead of reading.
    ahead: Option<Bytes>,
    read: usize,
    /// What was read, for another endpoint, where that is wanted; none where it is too long.
    kept: Option<Option<BytesMut>>,
    /// Whether the head says that there is none.
    is_none: bool,
}

impl Body {
    fn new(stream: RecvStream, head: &request::Parts) -> Self {
        let is_none = head.headers.get(CONTENT_LENGTH).is_some_and(|length| length == "0");
        let stream = if stream.is_end_stream() { None } else { Some(stream) };
        Self { stream, ahead: None, read: 0, kept: None, is_none }
    }

    /// Reads a piece; `None` at the end. Trailers end it too, and go no further.
    async fn read(&mut self) -> Result<Option<Bytes>> {
        let piece = match (self.ahead.take(), &mut self.stream) {
            (Some(ahead), _) => Some(ahead),
            (None, Some(stream)) => {
                stream.data().await.transpose().or_err(ErrorType::ReadError, "while reading a request's body")?
            }
            (None, None) => None,
        };
        let Some(piece) = piece else {
            self.stream = None;
            return Ok(None);
        };
        self.read += piece.len();
        if let Some(stream) = &mut self.stream {
            // Refused only where more is given back than came.
            let _ = stream.flow_control().release_capacity(piece.len());
        }
        if let Some(Some(kept)) = &mut self.kept {
            if kept.len() + piece.len() <= KEPT_BYTES_MAX {
                kept.extend_from_slice(&piece);
            } else {
                self.kept = Some(None);
            }
        }
        Ok(Some(piece))
    }

    /// Looks at what has come of it. Many clients end a body that has no byte in a frame of its own, which mostly comes
    /// along with the head: there is no body then, and the backend must not be told of one.
    fn look_ahead(&mut self) {
        if self.read > 0 || self.ahead.is_some() {
            return;
        }
        while let Some(stream) = &mut self.stream {
            match stream.poll_data(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Some(Ok(piece))) if piece.is_empty() => {}
                Poll::Ready(Some(Ok(piece))) => {
                    self.ahead = Some(piece);
                    return;
                }
                Poll::Ready(None) => self.stream = None,
                // Whoever reads is told of it.
                Poll::Ready(Some(Err(_))) | Poll::Pending => return,
            }
        }
    }

    fn is_over(&self) -> bool {
        self.ahead.is_none() && self.stream.as_ref().is_none_or(RecvStream::is_end_stream)
    }

    fn is_empty(&mut self) -> bool {
        self.look_ahead();
        self.read == 0 && (self.is_none || self.is_over())
    }
}

impl Session {
    pub(super) fn new(
        request: http::Request<RecvStream>,
        respond: SendResponse<Bytes>,
        digest: Arc<Digest>,
        active: Arc<Active>,
    ) -> Self {
        let (head, body) = request.into_parts();
        let body = Body::new(body, &head);
        Self {
            request: RequestHeader::from(head),
            body,
            respond: Some(respond),
            answer: None,
            written: None,
            is_ended: false,
            sent: 0,
            digest,
            write: None,
            drain: None,
            active,
        }
    }

    /// Writes the head of an answer, or an informational one ahead of it.
    fn write_head(&mut self, head: ResponseHeader, end: bool) -> Result<()> {
        let Some(respond) = self.respond.as_mut().filter(|_| self.written.is_none()) else { return Ok(()) };
        let mut parts = response::Parts::from(head);
        parts.version = Version::HTTP_2;
        for name in &CONNECTION_SPECIFIC {
            parts.headers.remove(name);
        }
        let status = parts.status;
        if status.is_informational() {
            let informational = Response::from_parts(parts, ());
            return respond.send_informational(informational).or_err(ErrorType::WriteError, "an informational answer");
        }
        parts.headers.insert(DATE, get_cached_date());
        let answer = respond.send_response(Response::from_parts(parts, ()), end);
        self.answer = Some(answer.or_err(ErrorType::WriteError, "the head of an answer")?);
        self.written = Some(ResponseHeader::build_no_case(status, Some(0))?);
        self.is_ended = end;
        Ok(())
    }

    /// Writes a piece of the answer's body.
    async fn write(&mut self, mut piece: Bytes, end: bool) -> Result<()> {
        if self.is_ended {
            return Ok(());
        }
        let Some(answer) = &mut self.answer else {
            return Error::e_explain(ErrorType::H2Error, "a body ahead of its head").map_err(Error::into_down);
        };
        while !piece.is_empty() {
            answer.reserve_capacity(piece.len());
            let room = match answer.capacity() {
                0 => room(answer, self.write).await?,
                room => room,
            };
            let part = piece.split_to(room.min(piece.len()));
            self.sent += part.len();
            let is_last = end && piece.is_empty();
            answer
                .send_data(part, is_last)
                .or_err(ErrorType::WriteError, "an answer's body")
                .map_err(Error::into_down)?;
            self.is_ended = is_last;
        }
        if end { self.end() } else { Ok(()) }
    }

    /// Ends the answer, if it has begun.
    fn end(&mut self) -> Result<()> {
        if let Some(answer) = self.answer.as_mut().filter(|_| !self.is_ended) {
            answer.send_data(Bytes::new(), true).or_err(ErrorType::WriteError, "an answer's end")?;
            self.is_ended = true;
        }
        Ok(())
    }

    fn end_with(&mut self, trailers: http::HeaderMap) -> Result<()> {
        if let Some(answer) = self.answer.as_mut().filter(|_| !self.is_ended) {
            answer.send_trailers(trailers).or_err(ErrorType::WriteError, "an answer's trailers")?;
            self.is_ended = true;
        }
        Ok(())
    }

    /// Waits until the client takes its request back.
    async fn idle(&mut self) -> Result<Option<Bytes>> {
        let reason = poll_fn(|cx| match (&mut self.answer, &mut self.respond) {
            (Some(answer), _) => answer.poll_reset(cx),
            (None, Some(respond)) => respond.poll_reset(cx),
            (None, None) => Poll::Pending,
        })
        .await
        .or_err(ErrorType::H2Error, "while waiting for the client")?;
        Error::e_explain(ErrorType::H2Error, format!("the client reset its stream: {reason}"))
    }

    /// Gives the way out to whoever takes the stream over.
    fn leave(&mut self) {
        if let Some(answer) = self.answer.take() {
            self.is_ended = true;
            Served::leave_exit(answer);
        }
    }
}

/// Waits until there is room for more of an answer.
async fn room(answer: &mut SendStream<Bytes>, write: Option<Duration>) -> Result<usize> {
    let granted = poll_fn(|cx| answer.poll_capacity(cx));
    let granted = match write {
        None => granted.await,
        Some(write) => match timeout(write, granted).await {
            Ok(granted) => granted,
            Err(_) => {
                return Error::e_explain(ErrorType::WriteTimedout, "the client makes no room")
                    .map_err(Error::into_down);
            }
        },
    };
    let granted = granted.transpose().or_err(ErrorType::H2Error, "while waiting for room").map_err(Error::into_down)?;
    granted.ok_or_else(|| Error::explain(ErrorType::ConnectionClosed, "the client has gone").into_down())
}

impl Drop for Session {
    /// Whatever ended the session: an answer that was not finished is broken off, and what is left of a body behind one
    /// that was is taken in for a moment. A reset that overtakes the client's body is lawful (RFC 9113 section 8.1), but
    /// some clients take it for the outcome (curl before 8.7).
    fn drop(&mut self) {
        if !self.is_ended {
            if let Some(respond) = self.respond.take() {
                self.active.break_off(respond);
            }
            return;
        }
        // A client that waits to be asked for its body sends none.
        let waits = || self.body.read == 0 && self.body.ahead.is_none() && self.request.headers.contains_key(EXPECT);
        let has_rest = self.written.is_some() && !self.body.is_over() && !waits();
        let (Some(body), Some(drain)) = (self.body.stream.take().filter(|_| has_rest), self.drain) else { return };
        if let Ok(runtime) = Handle::try_current() {
            let serving = self.active.begin();
            runtime.spawn(async move {
                // Over with the time, at the end, or with what is too much: the body's own drop says the rest.
                let _ = timeout(drain, drop_rest(body)).await;
                drop(serving);
            });
        }
    }
}

async fn drop_rest(mut body: RecvStream) {
    let mut left = DRAINED_BYTES_MAX;
    while let Some(Ok(piece)) = body.data().await {
        let _ = body.flow_control().release_capacity(piece.len());
        left = left.saturating_sub(piece.len());
        if left == 0 {
            return;
        }
    }
}
