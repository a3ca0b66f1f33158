//! What of a request's framing and compression is checked here, ahead of connectrpc: it says `unimplemented` or
//! `internal` of a broken frame, ignores flags that it does not know, and names no encoding that it would take.

use super::Caller;
use filters::api::{Reason, Refusal};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use std::cmp::Ordering;

/// Ahead of every message but Connect's unary ones: a flag and a length.
pub(super) const HEAD_BYTES: usize = 5;

/// What connectrpc is built with.
const ACCEPTED: HeaderValue = HeaderValue::from_static("gzip, zstd");

impl Caller {
    /// The headers that name a message's encoding, and those that are accepted.
    fn encoding_headers(self) -> (HeaderName, HeaderName) {
        match self {
            Self::Connect => (header::CONTENT_ENCODING, header::ACCEPT_ENCODING),
            Self::ConnectStream => (
                HeaderName::from_static("connect-content-encoding"),
                HeaderName::from_static("connect-accept-encoding"),
            ),
            Self::Grpc | Self::GrpcWeb | Self::GrpcWebText { .. } => {
                (HeaderName::from_static("grpc-encoding"), HeaderName::from_static("grpc-accept-encoding"))
            }
        }
    }
}

/// The header that tells a caller which encodings are accepted.
#[must_use]
pub fn accepted(caller: Caller) -> (HeaderName, HeaderValue) {
    (caller.encoding_headers().1, ACCEPTED)
}

/// Whether the messages are encoded, in a way that can be undone.
///
/// # Errors
/// `MEDIA_TYPE_UNSUPPORTED`; [`accepted`] is to go with it.
pub fn is_encoded(caller: Caller, headers: &HeaderMap) -> Result<bool, Refusal> {
    let (name, _) = caller.encoding_headers();
    let Some(encoding) = headers.get(name) else { return Ok(false) };
    match encoding.as_bytes() {
        b"identity" => Ok(false),
        b"gzip" | b"zstd" => Ok(true),
        _ => Err(Refusal::because(Reason::MediaTypeUnsupported, "the encoding is neither identity, gzip nor zstd")),
    }
}

/// Checks that a body is one whole message.
///
/// # Errors
/// `MESSAGE_TOO_LARGE` or `ENVELOPE_INVALID`.
pub fn check(caller: Caller, is_encoded: bool, body: &[u8], message_bytes_max: u64) -> Result<(), Refusal> {
    if caller == Caller::Connect {
        return Ok(());
    }
    let Some((&[flag, ref length @ ..], message)) = body.split_first_chunk::<HEAD_BYTES>() else {
        return Err(invalid("the body holds no whole frame"));
    };
    match flag {
        0 => {}
        1 if is_encoded => {}
        1 => return Err(invalid("the frame is compressed, but no header names the encoding")),
        _ => return Err(invalid("the frame has flags that a request's has not")),
    }
    let length = u64::from(u32::from_be_bytes(*length));
    if length > message_bytes_max {
        return Err(Refusal::new(Reason::MessageTooLarge));
    }
    match length.cmp(&(message.len() as u64)) {
        Ordering::Equal => Ok(()),
        Ordering::Greater => Err(invalid("the body ends ahead of its frame")),
        Ordering::Less => Err(invalid("the body goes on behind its frame")),
    }
}

fn invalid(what: &'static str) -> Refusal {
    Refusal::because(Reason::EnvelopeInvalid, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(caller: Caller, headers: &[(&'static str, &'static str)], body: &[u8]) -> &'static str {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let outcome = is_encoded(caller, &headers).and_then(|is_encoded| check(caller, is_encoded, body, 4));
        outcome.map_or_else(|refusal| refusal.reason.as_str(), |()| "ok")
    }

    #[test]
    fn a_body_is_one_whole_frame() {
        for (body, expected) in [
            (&b"\0\0\0\0\x02ab"[..], "ok"),
            (b"\0\0\0\0\0", "ok"),
            (b"", "ENVELOPE_INVALID"),
            (b"\0\0\0\0", "ENVELOPE_INVALID"),
            (b"\0\0\0\0\x03ab", "ENVELOPE_INVALID"),
            (b"\0\0\0\0\x01ab", "ENVELOPE_INVALID"),
            (b"\0\0\0\0\x01a\0\0\0\0\x01a", "ENVELOPE_INVALID"),
            (b"\x01\0\0\0\x02ab", "ENVELOPE_INVALID"),
            (b"\x02\0\0\0\x02ab", "ENVELOPE_INVALID"),
            (b"\x80\0\0\0\x02ab", "ENVELOPE_INVALID"),
            (b"\0\0\0\0\x04abcd", "ok"),
            (b"\0\0\0\0\x05abcde", "MESSAGE_TOO_LARGE"),
            (b"\0\xff\xff\xff\xffab", "MESSAGE_TOO_LARGE"),
        ] {
            for caller in [Caller::Grpc, Caller::GrpcWeb, Caller::GrpcWebText { is_json: true }, Caller::ConnectStream]
            {
                assert_eq!(outcome(caller, &[], body), expected, "{caller:?} {body:?}");
            }
            assert_eq!(outcome(Caller::Connect, &[], body), "ok", "Connect's unary messages have no frame");
        }
    }

    #[test]
    fn each_protocol_names_its_encoding_in_its_own_header() {
        const COMPRESSED: &[u8] = b"\x01\0\0\0\x02ab";
        for (caller, name, others) in [
            (Caller::Connect, "content-encoding", "grpc-encoding"),
            (Caller::ConnectStream, "connect-content-encoding", "content-encoding"),
            (Caller::Grpc, "grpc-encoding", "content-encoding"),
            (Caller::GrpcWeb, "grpc-encoding", "connect-content-encoding"),
        ] {
            for encoding in ["gzip", "zstd"] {
                assert_eq!(outcome(caller, &[(name, encoding)], COMPRESSED), "ok", "{caller:?} {encoding}");
            }
            for encoding in ["br", "deflate", "gzip, gzip", "", "GZIP"] {
                let unsupported = "MEDIA_TYPE_UNSUPPORTED";
                assert_eq!(outcome(caller, &[(name, encoding)], COMPRESSED), unsupported, "{caller:?} {encoding}");
                let ignored = if caller == Caller::Connect { "ok" } else { "ENVELOPE_INVALID" };
                assert_eq!(outcome(caller, &[(others, encoding)], COMPRESSED), ignored, "{caller:?} {encoding}");
            }
        }
        assert_eq!(outcome(Caller::Grpc, &[("grpc-encoding", "identity")], COMPRESSED), "ENVELOPE_INVALID");
    }
}
