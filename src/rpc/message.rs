//! The one message of a request that is read whole.

use super::{Asked, text};
use crate::wire::{
    Code, Encoding,
    encoding::EncodingFault,
    frames::{FrameFault, FrameReader},
};
use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use percent_encoding::percent_decode_str;

/// A query's base64: URL-safe, its padding left out or not (connectrpc.com/docs/protocol, "Unary-Get-Request").
const QUERY_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A request that does not hold exactly one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageFault {
    /// It holds none.
    #[error("the request holds no message")]
    None,
    /// It holds more than one.
    #[error("the request holds more than one message")]
    Several,
    /// Its frame cannot be read.
    #[error(transparent)]
    Frame(#[from] FrameFault),
    /// It is no base64.
    #[error("the body is no base64")]
    Base64,
    /// The query is no call.
    #[error("the query holds no message: `connect=v1&encoding=json&message=…`")]
    Query,
}

impl MessageFault {
    /// The code that gRPC has for it: a wrong number of messages is one for methods, not for arguments.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::None | Self::Several => Code::Unimplemented,
            Self::Frame(FrameFault::TooLarge) => Code::ResourceExhausted,
            Self::Frame(FrameFault::NoEncoding) => Code::Internal,
            Self::Frame(FrameFault::Flags | FrameFault::Broken | FrameFault::Cut) | Self::Base64 | Self::Query => {
                Code::InvalidArgument
            }
        }
    }

    /// Whether it is larger than it may be.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        *self == Self::Frame(FrameFault::TooLarge)
    }
}

impl From<EncodingFault> for MessageFault {
    fn from(fault: EncodingFault) -> Self {
        Self::Frame(fault.into())
    }
}

/// The message of a whole body.
///
/// # Errors
/// Where it is not exactly one, or larger than `bytes_max`.
pub fn of_body(asked: &Asked, body: Bytes, bytes_max: usize) -> Result<Bytes, MessageFault> {
    let body = match asked.caller.is_text.then(|| text::decode(&body)) {
        None => body,
        Some(decoded) => decoded.map_err(|_| MessageFault::Base64)?.into(),
    };
    if !asked.caller.is_framed() {
        return Ok(asked.encoding.decompress(&body, bytes_max)?);
    }
    let mut frames = FrameReader::new(asked.encoding, bytes_max);
    frames.push(body);
    let Some(message) = frames.read()? else {
        frames.end()?;
        return Err(MessageFault::None);
    };
    if frames.read()?.is_some() {
        return Err(MessageFault::Several);
    }
    frames.end()?;
    Ok(message)
}

/// The message of a GET's query.
///
/// # Errors
/// Where there is none, or one that is larger than `bytes_max`.
pub fn of_query(query: &str, bytes_max: usize) -> Result<Bytes, MessageFault> {
    let (mut message, mut is_base64, mut encoding) = (None, false, Encoding::Identity);
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        match (name, value) {
            ("connect", "v1") | ("encoding", _) => {}
            ("connect", _) => return Err(MessageFault::Query),
            ("message", value) => message = Some(value),
            ("base64", value) => is_base64 = value == "1",
            ("compression", name) => {
                encoding = Encoding::from_name(name.as_bytes()).ok_or(MessageFault::Query)?;
            }
            _ => {}
        }
    }
    // connect-go writes its query as a form (url.Values), in which a space is `+`, and `+` is `%2B`.
    let message = message.ok_or(MessageFault::Query)?.replace('+', " ");
    let message: Vec<u8> = percent_decode_str(&message).collect();
    let message = if is_base64 { QUERY_BASE64.decode(message).map_err(|_| MessageFault::Base64)? } else { message };
    Ok(encoding.decompress(&message.into(), bytes_max)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::caller::{Caller, Codec, Protocol};

    fn of(protocol: Protocol, is_text: bool, body: &str) -> Result<Bytes, MessageFault> {
        let caller = Caller { protocol, codec: Codec::Proto, is_text };
        let asked = Asked { caller, encoding: Encoding::Gzip, accepts: Encoding::Identity, timeout: None };
        let encoding = if protocol == Protocol::Connect { Encoding::Identity } else { asked.encoding };
        of_body(&Asked { encoding, ..asked }, Bytes::copy_from_slice(body.as_bytes()), 4)
    }

    #[test]
    fn a_body_holds_exactly_one_message() {
        for (body, expected) in [
            ("\0\0\0\0\x02ab", Ok(&b"ab"[..])),
            ("\0\0\0\0\0", Ok(b"")),
            ("", Err(MessageFault::None)),
            ("\0\0\0\0\x01a\0\0\0\0\x01b", Err(MessageFault::Several)),
            ("\0\0\0\0\x01a\0", Err(MessageFault::Frame(FrameFault::Cut))),
            ("\0\0\0\0\x02a", Err(MessageFault::Frame(FrameFault::Cut))),
            ("\0\0\0\0\x05abcde", Err(MessageFault::Frame(FrameFault::TooLarge))),
            ("\x01\0\0\0\x01a", Err(MessageFault::Frame(FrameFault::Broken))),
            ("\x02\0\0\0\x01a", Err(MessageFault::Frame(FrameFault::Flags))),
        ] {
            for protocol in [Protocol::Grpc, Protocol::GrpcWeb, Protocol::ConnectStream] {
                assert_eq!(of(protocol, false, body).as_deref().map_err(|e| *e), expected, "{protocol:?} {body:?}");
            }
            let text = text::encode(body.as_bytes());
            assert_eq!(of(Protocol::GrpcWeb, true, &text).as_deref().map_err(|e| *e), expected, "{body:?}");
        }
        assert_eq!(of(Protocol::GrpcWeb, true, "*"), Err(MessageFault::Base64));
        assert_eq!(of(Protocol::Connect, false, "abcd").as_deref(), Ok(&b"abcd"[..]));
        assert_eq!(of(Protocol::Connect, false, "abcde"), Err(MessageFault::Frame(FrameFault::TooLarge)));
    }

    #[test]
    fn a_query_holds_a_message() {
        for (query, expected) in [
            ("connect=v1&encoding=json&message=%7B%7D", Ok(&b"{}"[..])),
            ("encoding=json&message=%22+%2B%22", Ok(b"\" +\"")),
            ("encoding=proto&base64=1&message=_w", Ok(b"\xff")),
            ("encoding=proto&base64=1&message=_w%3D%3D", Ok(b"\xff")),
            ("encoding=proto&base64=1&message=", Ok(b"")),
            ("encoding=proto&base64=1&message=!", Err(MessageFault::Base64)),
            ("encoding=proto", Err(MessageFault::Query)),
            ("connect=v2&encoding=proto&message=", Err(MessageFault::Query)),
            ("encoding=json&message=%7B%7D&compression=lz4", Err(MessageFault::Query)),
            ("encoding=json&message=%7B%7D%7B%7D%7B%7D", Err(MessageFault::Frame(FrameFault::TooLarge))),
        ] {
            let message = of_query(query, 4);
            assert_eq!(message.as_deref().map_err(|fault| *fault), expected, "{query}");
        }
    }
}
