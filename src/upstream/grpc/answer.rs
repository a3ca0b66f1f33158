//! gRPC's answer as a reply.

use super::{Piece, Reply, left};
use crate::{
    upstream::{AnswerBody, CallFault, Upstream, streams::reset_reason},
    wire::{
        Code, Encoding, Failure,
        failure::{GRPC_DETAILS, GRPC_MESSAGE, GRPC_STATUS},
        frames::{FrameFault, FrameReader},
        lists::{Repeated, single},
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
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
/// What speaks of this answer's own framing and status, and ends here; or would of that to the client. HTTP/2 has no
/// hop-by-hop headers (RFC 9113 section 8.2.2).
const OF_THIS_HOP: [HeaderName; 11] = [
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    DATE,
    TRAILER,
    HeaderName::from_static("connect-content-encoding"),
    GRPC_ENCODING,
    HeaderName::from_static("grpc-accept-encoding"),
    GRPC_STATUS,
    GRPC_MESSAGE,
    GRPC_DETAILS,
];

/// The failure of a call for which there is no answer.
pub(super) fn unreachable(upstream: &Upstream, fault: &CallFault, deadline: Option<Instant>) -> Failure {
    tracing::warn!(%fault, upstream = upstream.name(), "a call was not answered");
    match fault {
        CallFault::Timeout { .. } => of(Code::DeadlineExceeded, Reason::BackendTimeout),
        CallFault::Broken { reset, .. } => broken_off(*reset, deadline),
        CallFault::Unreachable { .. } | CallFault::Malformed { .. } | CallFault::TooLarge { .. } => unavailable(),
    }
}

/// What the end of a stream (PROTOCOL-HTTP2, "Errors"), or of its whole connection, means: ahead of the answer or within.
fn broken_off(reset: Option<h2::Reason>, deadline: Option<Instant>) -> Failure {
    let is_late = deadline.is_some_and(|deadline| left(deadline) <= CLOCKS_APART);
    match reset {
        // Some servers say so when the time that they were given is over.
        Some(h2::Reason::CANCEL) if is_late => Failure::new(Code::DeadlineExceeded, Reason::BackendTimeout.title()),
        Some(h2::Reason::CANCEL) => Failure::new(Code::Canceled, "the upstream cancelled the call"),
        Some(h2::Reason::ENHANCE_YOUR_CALM) => of(Code::ResourceExhausted, Reason::BackendUnavailable),
        Some(h2::Reason::INADEQUATE_SECURITY) => of(Code::PermissionDenied, Reason::BackendUnavailable),
        None | Some(h2::Reason::REFUSED_STREAM) => unavailable(),
        // Those that are not in that table are somebody's mistake, too.
        Some(_) => of(Code::Internal, Reason::BackendUnavailable),
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
    match Failure::from_grpc(&headers) {
        Some(status) if status.is_err() || body.is_end_stream() => return trailers_only(status, headers),
        _ => {}
    }
    if head.status != StatusCode::OK || !is_grpc(&headers) {
        tracing::warn!(status = %head.status, upstream = upstream.name(), "an answer that is no gRPC");
        let code = if head.status == StatusCode::OK { Code::Unknown } else { Code::from_http(head.status) };
        return Err(of(code, Reason::BackendUnavailable));
    }
    let named = single(&headers, &GRPC_ENCODING).map(|named| named.map(|name| Encoding::from_name(name.as_bytes())));
    let encoding = match named {
        Ok(None) => Encoding::Identity,
        Ok(Some(Some(encoding))) => encoding,
        Ok(Some(None)) | Err(Repeated) => {
            return Err(Failure::new(Code::Internal, "the upstream answered in an unknown encoding"));
        }
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

/// What the headers bring is metadata behind the messages, of which there are none. Of a stream that can be success.
fn trailers_only(status: Result<(), Failure>, mut trailers: HeaderMap) -> Result<Reply, Failure> {
    strip(&mut trailers);
    match status {
        Ok(()) => Ok(Reply { headers: HeaderMap::new(), pieces: stream::iter([Piece::End(Ok(trailers))]).boxed() }),
        Err(failure) => Err(failure.with_trailers(trailers)),
    }
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

    fn broken(&self, error: &hyper::Error) -> Failure {
        let reset = reset_reason(error);
        tracing::debug!(%error, ?reset, upstream = self.upstream.name(), "an answer broke off");
        broken_off(reset, self.deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use http::HeaderValue;

    #[test]
    fn a_status_alone_is_a_failure_or_a_stream_without_messages() {
        let answered = |status: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(GRPC_STATUS, HeaderValue::from_static(status));
            headers.insert("x-t", HeaderValue::from_static("1"));
            trailers_only(Failure::from_grpc(&headers).unwrap(), headers)
        };
        let mut reply = answered("0").unwrap_or_else(|failure| panic!("{failure:?}"));
        let Some(Some(Piece::End(Ok(trailers)))) = reply.pieces.next().now_or_never() else { panic!("no end") };
        assert_eq!(trailers.len(), 1);
        assert!(reply.headers.is_empty() && reply.pieces.next().now_or_never().flatten().is_none());
        let failure = answered("5").err().unwrap();
        assert_eq!((failure.code, failure.metadata.trailers.len()), (Code::NotFound, 1));
    }

    #[test]
    fn a_reset_stream_has_a_code() {
        for (reset, left_ms, expected) in [
            (Some(h2::Reason::CANCEL), 60_000, Code::Canceled),
            (Some(h2::Reason::CANCEL), 0, Code::DeadlineExceeded),
            (Some(h2::Reason::ENHANCE_YOUR_CALM), 0, Code::ResourceExhausted),
            (Some(h2::Reason::INADEQUATE_SECURITY), 0, Code::PermissionDenied),
            (Some(h2::Reason::REFUSED_STREAM), 60_000, Code::Unavailable),
            (Some(h2::Reason::NO_ERROR), 60_000, Code::Internal),
            (Some(h2::Reason::PROTOCOL_ERROR), 60_000, Code::Internal),
            (Some(h2::Reason::INTERNAL_ERROR), 0, Code::Internal),
            (Some(h2::Reason::FLOW_CONTROL_ERROR), 60_000, Code::Internal),
            (Some(h2::Reason::SETTINGS_TIMEOUT), 60_000, Code::Internal),
            (Some(h2::Reason::FRAME_SIZE_ERROR), 60_000, Code::Internal),
            (Some(h2::Reason::COMPRESSION_ERROR), 60_000, Code::Internal),
            (Some(h2::Reason::CONNECT_ERROR), 60_000, Code::Internal),
            (Some(h2::Reason::STREAM_CLOSED), 60_000, Code::Internal),
            (Some(h2::Reason::from(99)), 60_000, Code::Internal),
            (None, 0, Code::Unavailable),
        ] {
            let deadline = Instant::now() + Duration::from_millis(left_ms);
            assert_eq!(broken_off(reset, Some(deadline)).code, expected, "{reset:?}");
        }
        assert_eq!(broken_off(Some(h2::Reason::CANCEL), None).code, Code::Canceled);
    }
}
