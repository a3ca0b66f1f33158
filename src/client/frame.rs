//! The five-byte framing of gRPC and gRPC-Web: a flag byte, a big-endian u32 length, the message.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

/// The frame holds trailers (gRPC-Web only).
pub(super) const TRAILERS: u8 = 0x80;

const HEAD_BYTES: usize = 5;

/// A unary answer is one message and one block of trailers; more frames are nonsense.
const FRAMES_MAX: usize = 8;

const TRAILER_LINES_MAX: usize = 100;

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) flags: u8,
    pub(super) payload: Bytes,
}

/// A body that is not made of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameFault {
    #[error("a frame ends before its length says")]
    Truncated,
    #[error("more than {FRAMES_MAX} frames for one answer")]
    TooMany,
    #[error("trailers that are no header lines")]
    Trailers,
    #[error("a message over 4 GiB")]
    TooLong,
}

/// A message in its frame.
pub(super) fn encode(message: &[u8]) -> Result<Bytes, FrameFault> {
    let length = u32::try_from(message.len()).map_err(|_| FrameFault::TooLong)?;
    let mut framed = BytesMut::with_capacity(HEAD_BYTES + message.len());
    framed.put_u8(0);
    framed.put_u32(length);
    framed.put_slice(message);
    Ok(framed.freeze())
}

/// The frames of a whole body. A length is only believed as far as the body goes, so it reserves nothing.
pub(super) fn split(mut body: Bytes) -> Result<Vec<Frame>, FrameFault> {
    let mut frames = Vec::new();
    while !body.is_empty() {
        if frames.len() == FRAMES_MAX {
            return Err(FrameFault::TooMany);
        }
        if body.len() < HEAD_BYTES {
            return Err(FrameFault::Truncated);
        }
        let flags = body.get_u8();
        let length = usize::try_from(body.get_u32()).map_err(|_| FrameFault::TooLong)?;
        if body.len() < length {
            return Err(FrameFault::Truncated);
        }
        frames.push(Frame { flags, payload: body.split_to(length) });
    }
    Ok(frames)
}

/// The trailers of a gRPC-Web answer: header lines, each ended by CRLF (a bare LF is taken too, as
/// grpc-web's own clients do).
pub(super) fn parse_trailers(block: &[u8]) -> Result<HeaderMap, FrameFault> {
    let mut trailers = HeaderMap::new();
    let lines = block.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    for (count, line) in lines.enumerate() {
        let colon = line.iter().position(|byte| *byte == b':').ok_or(FrameFault::Trailers)?;
        let (name, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or(value).trim_ascii();
        if count == TRAILER_LINES_MAX {
            return Err(FrameFault::Trailers);
        }
        let name = HeaderName::from_bytes(name).map_err(|_| FrameFault::Trailers)?;
        trailers.append(name, HeaderValue::from_bytes(value).map_err(|_| FrameFault::Trailers)?);
    }
    Ok(trailers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_survives_its_frame() {
        let body = [encode(b"one").unwrap(), encode(b"").unwrap()].concat();
        let frame = |payload: &'static [u8]| Frame { flags: 0, payload: Bytes::from_static(payload) };
        assert_eq!(split(body.into()), Ok(vec![frame(b"one"), frame(b"")]));
    }

    #[test]
    fn hostile_bodies_are_refused() {
        fn check(body: &[u8], expected: FrameFault) {
            assert_eq!(split(Bytes::copy_from_slice(body)), Err(expected));
        }
        check(&[0], FrameFault::Truncated);
        check(&[0, 0, 0, 0], FrameFault::Truncated);
        check(&[0, 0, 0, 0, 1], FrameFault::Truncated);
        check(&[0, 0xff, 0xff, 0xff, 0xff, 1], FrameFault::Truncated);
        check(&[0, 0, 0, 0, 0, 0x80], FrameFault::Truncated);
        check(&[0; HEAD_BYTES * (FRAMES_MAX + 1)], FrameFault::TooMany);
    }

    #[test]
    fn trailers_are_header_lines() {
        let trailers = parse_trailers(b"grpc-status: 8\r\ngrpc-message:a: b\nx:\r\n").unwrap();
        assert_eq!(trailers["grpc-status"], "8");
        assert_eq!(trailers["grpc-message"], "a: b");
        assert_eq!(trailers["x"], "");
        assert_eq!(parse_trailers(b""), Ok(HeaderMap::new()));
    }

    #[test]
    fn anything_else_is_not() {
        for block in [b"grpc-status".as_slice(), b": 1", b"a b: 1", b"a: \x00", &b"a: 1\n".repeat(101)] {
            assert_eq!(parse_trailers(block), Err(FrameFault::Trailers), "{block:?}");
        }
    }
}
