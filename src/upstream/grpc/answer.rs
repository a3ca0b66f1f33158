//! gRPC's answer as a reply.

use super::{Piece, Reply, left};
use crate::{
    upstream::{AnswerBody, CallFault, Upstream},
    wire::{
        Code, Encoding, Failure,
        failure::{GRPC_DETAILS, GRPC_MESSAGE, GRPC_STATUS},
        frames::{FrameFault, FrameReader},
    },
};
use filters::api::Reason;
use futures_util::{StreamExt as _, stream};
use http::{
    HeaderMap, HeaderName, Response, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, DATE, TRAILER},
};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use std::{error::Error as _, sync::Arc, time::Duration};
use tokio::time::Instant;

const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
/// What speaks of this answer's own framing and status, and ends here; or would of that to the client. HTTP/2 has no
/// hop-by-hop headers (RFC 9113 section 8.2.2).
const OF_THIS_HOP: [HeaderName; 11] = [
    CONTENT_ENCODING,
    HeaderName::from_static("connect-content-encoding"),
    CONTENT_LENGTH,
    CONTENT_TYPE,
    DATE,
    TRAILER,
    GRPC_ENCODING,
    HeaderName::from_static("grpc-accept-encoding"),
    GRPC_STATUS,
    GRPC_MESSAGE,
    GRPC_DETAILS,
];

/// The failure of a call for which there is no answer.
pub(super) fn unreachable(upstream: &Upstream, fault: &CallFault) -> Failure {
    tracing::warn!(%fault, upstream = upstream.name(), "a call was not answered");
    match fault {
        CallFault::Timeout { .. } => of(Code::DeadlineExceeded, Reason::BackendTimeout),
        CallFault::Unreachable { .. } | CallFault::Broken { .. } | CallFault::TooLarge { .. } => unavailable(),
    }
}

fn unavailable() -> Failure {
    of(Code::Unavailable, Reason::BackendUnavailable)
}

fn of(code: Code, reason: Reason) -> Failure {
    Failure { reason: Some(reason), ..Failure::new(code, reason.title()) }
}

/// How much earlier than here an upstream's clock may find that the time of a call is over.
const CLOCKS_APART: Duration = Duration::from_millis(50);

/// The reply that an answer is.
///
/// # Errors
/// Where it is no gRPC, or nothing but a status.
pub(super) fn read(
    response: Response<AnswerBody>,
    upstream: Arc<Upstream>,
    bytes_max: usize,
    deadline: Option<Instant>,
) -> Result<Reply, Failure> {
    let (head, body) = response.into_parts();
    let mut headers = head.headers;
    // "Trailers-Only": what it brings is metadata behind the messages, of which there are none.
    match Failure::from_grpc(&headers) {
        Some(Err(failure)) => {
            strip(&mut headers);
            return Err(failure.with_trailers(headers));
        }
        // How gRPC's servers write a stream without messages.
        Some(Ok(())) if body.is_end_stream() => {
            strip(&mut headers);
            let end = stream::iter([Piece::End(Ok(headers))]);
            return Ok(Reply { headers: HeaderMap::new(), pieces: end.boxed() });
        }
        _ => {}
    }
    if head.status != StatusCode::OK || !is_grpc(&headers) {
        tracing::warn!(status = %head.status, upstream = upstream.name(), "an answer that is no gRPC");
        let code = if head.status == StatusCode::OK { Code::Unknown } else { Code::from_http(head.status) };
        return Err(of(code, Reason::BackendUnavailable));
    }
    let encoding = match headers.get(GRPC_ENCODING).map(|name| Encoding::from_name(name.as_bytes())) {
        None => Encoding::Identity,
        Some(Some(encoding)) => encoding,
        Some(None) => return Err(Failure::new(Code::Internal, "the upstream answered in an unknown encoding")),
    };
    strip(&mut headers);
    let frames = FrameReader::new(encoding, bytes_max);
    let reader = Reader { body, frames, upstream, deadline, is_over: false };
    let pieces = stream::unfold(reader, |mut reader| async move {
        if reader.is_over {
            return None;
        }
        let piece = reader.next().await;
        reader.is_over = matches!(piece, Piece::End(_));
        Some((piece, reader))
    });
    Ok(Reply { headers, pieces: pieces.boxed() })
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).map(|value| value.as_bytes()).unwrap_or_default();
    media_type.starts_with(b"application/grpc") && !media_type.starts_with(b"application/grpc-web")
}

fn strip(headers: &mut HeaderMap) {
    for name in &OF_THIS_HOP {
        headers.remove(name);
    }
}

struct Reader {
    body: AnswerBody,
    frames: FrameReader,
    upstream: Arc<Upstream>,
    deadline: Option<Instant>,
    is_over: bool,
}

impl Reader {
    async fn next(&mut self) -> Piece {
        loop {
            match self.frames.read() {
                Ok(Some(message)) => return Piece::Message(message),
                Ok(None) => {}
                Err(fault) => return Piece::End(Err(self.unreadable(fault))),
            }
            let frame = match self.body.frame().await {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Piece::End(Err(self.broken(&error))),
                None => return Piece::End(Err(self.ended())),
            };
            match frame.into_data() {
                Ok(data) => self.frames.push(data),
                Err(frame) => return Piece::End(self.end(frame.into_trailers().unwrap_or_default())),
            }
        }
    }

    fn end(&self, mut trailers: HeaderMap) -> Result<HeaderMap, Failure> {
        let status = Failure::from_grpc(&trailers).unwrap_or_else(|| Err(self.ended()));
        strip(&mut trailers);
        match status {
            Ok(()) => self.frames.end().map(|()| trailers).map_err(|fault| self.unreadable(fault)),
            Err(failure) => Err(failure.with_trailers(trailers)),
        }
    }

    fn ended(&self) -> Failure {
        tracing::warn!(upstream = self.upstream.name(), "an answer ended without a status");
        unavailable()
    }

    fn unreadable(&self, fault: FrameFault) -> Failure {
        tracing::warn!(%fault, upstream = self.upstream.name(), "an answer that cannot be read");
        match fault {
            FrameFault::TooLarge => of(Code::ResourceExhausted, Reason::MessageTooLarge),
            _ => of(Code::Internal, Reason::BackendUnavailable),
        }
    }

    /// What a stream's end means (PROTOCOL-HTTP2, "Errors").
    fn broken(&self, error: &hyper::Error) -> Failure {
        let cause = error.source().and_then(|source| source.downcast_ref::<h2::Error>()).and_then(h2::Error::reason);
        let is_late = self.deadline.is_some_and(|deadline| left(deadline) <= CLOCKS_APART);
        tracing::debug!(%error, ?cause, upstream = self.upstream.name(), "an answer broke off");
        match cause {
            // Some servers say so when the time that they were given is over.
            Some(h2::Reason::CANCEL) if is_late => Failure::new(Code::DeadlineExceeded, Reason::BackendTimeout.title()),
            Some(h2::Reason::CANCEL) => Failure::new(Code::Canceled, "the upstream cancelled the call"),
            Some(h2::Reason::ENHANCE_YOUR_CALM) => of(Code::ResourceExhausted, Reason::BackendUnavailable),
            _ => unavailable(),
        }
    }
}
