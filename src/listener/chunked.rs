//! Checks the framing of a chunked body as it passes, and knows where it ends.
//!
//! Pingora's reader behind it (v1/body.rs with httparse 1.10.1) takes any octet in a chunk extension, a bare LF
//! included, and skips trailers up to the next empty line. A proxy in front that ends the chunk line at that LF
//! sees another body than we do (the TERM.EXT and EXT.TERM smuggling of 2025, CVE-2025-55315 in Kestrel). Here
//! each byte of the framing is what RFC 9112 section 7.1 has, or the body is refused.

/// A chunk line is a size and perhaps an extension that nobody uses. A client that sends a long one with every
/// byte of data makes us read a thousandfold (CVE-2023-39326).
const LINE_BYTES_MAX: usize = 256;
/// All trailers together. They are read and dropped.
const TRAILER_BYTES_MAX: usize = 8 << 10;
/// 2^60 - 1 cannot overflow in any reader, and is more than anybody sends.
const SIZE_DIGITS_MAX: usize = 15;

/// Follows a chunked body byte by byte, and buffers nothing.
#[derive(Debug, Default)]
pub(super) struct Chunked {
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Size {
        digits: usize,
        value: u64,
    },
    Extension {
        value: u64,
        bytes: usize,
    },
    SizeLf {
        value: u64,
    },
    Data {
        left: u64,
    },
    DataCr,
    DataLf,
    /// At the beginning of a trailer line, or of the empty line that ends the body.
    Trailer {
        bytes: usize,
    },
    TrailerLine {
        bytes: usize,
    },
    TrailerLf {
        bytes: usize,
    },
    LastLf,
    Done,
}

impl Default for State {
    fn default() -> Self {
        Self::Size { digits: 0, value: 0 }
    }
}

/// A body whose framing is not RFC 9112's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the chunked body is malformed: {0}")]
pub(super) struct ChunkFault(&'static str);

impl Chunked {
    /// Whether the body's last byte has passed.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Follows `bytes` and says how many of them belong to the body: fewer than all only when it ends in them.
    pub(super) fn follow(&mut self, bytes: &[u8]) -> Result<usize, ChunkFault> {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            match self.state {
                State::Done => break,
                State::Data { left } => {
                    let here = usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()));
                    let left = left - here as u64;
                    self.state = if left == 0 { State::DataCr } else { State::Data { left } };
                    rest = rest.get(here..).unwrap_or_default();
                }
                state => {
                    self.state = state.after(byte)?;
                    rest = after;
                }
            }
        }
        Ok(bytes.len() - rest.len())
    }
}

impl State {
    /// One byte further, anywhere but in the data.
    fn after(self, byte: u8) -> Result<Self, ChunkFault> {
        Ok(match (self, byte) {
            (Self::Size { digits, value }, _) if byte.is_ascii_hexdigit() => {
                if digits == SIZE_DIGITS_MAX {
                    return Err(ChunkFault("a chunk size has too many digits"));
                }
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                Self::Size { digits: digits + 1, value: value << 4 | u64::from(digit) }
            }
            (Self::Size { digits: 0, .. }, _) => return Err(ChunkFault("a chunk has no size")),
            (Self::Size { value, .. } | Self::Extension { value, .. }, b'\r') => Self::SizeLf { value },
            (Self::Size { value, .. }, b';') => Self::Extension { value, bytes: 0 },
            (Self::Extension { value, bytes }, b'\t' | b' '..=b'~') if bytes < LINE_BYTES_MAX => {
                Self::Extension { value, bytes: bytes + 1 }
            }
            (Self::SizeLf { value: 0 }, b'\n') => Self::Trailer { bytes: 0 },
            (Self::SizeLf { value }, b'\n') => Self::Data { left: value },
            (Self::DataCr, b'\r') => Self::DataLf,
            (Self::DataLf, b'\n') => Self::default(),
            (Self::Trailer { .. }, b'\r') => Self::LastLf,
            (Self::TrailerLine { bytes }, b'\r') => Self::TrailerLf { bytes },
            (Self::TrailerLf { bytes }, b'\n') => Self::Trailer { bytes },
            (Self::Trailer { bytes } | Self::TrailerLine { bytes }, b'\t' | b' '..=b'~' | 0x80..)
                if bytes < TRAILER_BYTES_MAX =>
            {
                Self::TrailerLine { bytes: bytes + 1 }
            }
            (Self::LastLf, b'\n') => Self::Done,
            (Self::Size { .. } | Self::Extension { .. } | Self::SizeLf { .. }, _) => {
                return Err(ChunkFault("a chunk line is malformed"));
            }
            (Self::DataCr | Self::DataLf, _) => return Err(ChunkFault("a chunk is longer than its size")),
            _ => return Err(ChunkFault("the trailers are malformed")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Follows `bytes` in pieces of `piece`; where the body ended, if it did.
    fn follow(bytes: &[u8], piece: usize) -> Result<Option<usize>, ChunkFault> {
        let mut chunked = Chunked::default();
        let mut seen = 0;
        for piece in bytes.chunks(piece) {
            seen += chunked.follow(piece)?;
            if chunked.is_done() {
                return Ok(Some(seen));
            }
        }
        Ok(None)
    }

    #[test]
    fn a_body_ends_at_its_last_byte_and_not_a_byte_later() {
        for body in [
            "0\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "5\r\nhello\r\n00000\r\n\r\n",
            "A\r\n0123456789\r\n0a\r\n\r\n\r\n\r\n\r\n\r\n\r\n0\r\n\r\n",
            "1;ext=\"a b\"\r\nx\r\n0;last\r\n\r\n",
            "0\r\nX-Trailer: 1\r\nY: \r\n\r\n",
        ] {
            let with_next = format!("{body}GET / HTTP/1.1\r\n");
            for piece in [1, 2, 3, 7, 1000] {
                assert_eq!(follow(with_next.as_bytes(), piece), Ok(Some(body.len())), "{body:?} by {piece}");
            }
        }
    }

    #[test]
    fn every_departure_from_the_grammar_is_refused() {
        for body in [
            "\r\n",
            "5\nhello\r\n",
            "5\r\nhello\n",
            "5\r\nhello0\r\n\r\n",
            "5\r\nhelloXX0\r\n\r\n",
            "5 \r\nhello\r\n",
            " 5\r\nhello\r\n",
            "0x5\r\nhello\r\n",
            "+5\r\nhello\r\n",
            "-1\r\n",
            "5\rhello",
            "g\r\n",
            "5;a\nb\r\nhello\r\n",
            "5;a\rb\r\nhello\r\n",
            "5;a\0\r\nhello\r\n",
            "FFFFFFFFFFFFFFFF\r\n",
            "1000000000000000\r\n",
            "0000000000000005\r\nhello\r\n",
            "0\r\n\n",
            "0\n\r\n",
            "0\r\nX: a\nY: b\r\n\r\n",
            "0\r\n\rX",
            "0\r\nX: \0\r\n\r\n",
        ] {
            assert!(follow(body.as_bytes(), 1).is_err(), "{body:?}");
            assert!(follow(body.as_bytes(), 1000).is_err(), "{body:?}");
        }
        let long = format!("1;{}\r\nx\r\n", "e".repeat(LINE_BYTES_MAX + 1));
        assert!(follow(long.as_bytes(), 100).is_err());
        let trailers = format!("0\r\n{}", "X: y\r\n".repeat(TRAILER_BYTES_MAX));
        assert!(follow(trailers.as_bytes(), 100).is_err());
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_read_alike_by_the_reader_behind(
            body in prop::collection::vec(prop::sample::select(b"05aF;\r\n x\0".to_vec()), 0..40),
            piece in 1usize..8,
        ) {
            let whole = follow(&body, body.len().max(1));
            prop_assert_eq!(whole.is_err(), follow(&body, piece).is_err());
            if let Ok(Some(end)) = whole {
                prop_assert!(body[..end].ends_with(b"\r\n\r\n"));
                let first = httparse::parse_chunk_size(&body[..end]).unwrap();
                prop_assert!(first.is_complete());
            }
        }
    }
}
