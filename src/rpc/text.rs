//! The text variant of gRPC-Web: bodies in base64.
//!
//! A client may send several base64 pieces, each with its own padding, one behind the other
//! (PROTOCOL-WEB: "may be encoded as a sequence of base64 blocks").

use base64::{DecodeError, Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;

/// The bytes of a request body.
///
/// # Errors
/// Where it is no base64.
pub fn decode(body: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut bytes = Vec::with_capacity(body.len() / 4 * 3);
    let mut rest = body;
    while !rest.is_empty() {
        let piece_end = rest.iter().position(|byte| *byte == b'=').map_or(rest.len(), |padding| padding / 4 * 4 + 4);
        let (piece, behind) = rest.split_at_checked(piece_end).unwrap_or((rest, &[]));
        STANDARD.decode_vec(piece, &mut bytes)?;
        rest = behind;
    }
    Ok(bytes)
}

/// Takes a body as it comes, cut anywhere.
#[derive(Debug, Default)]
pub struct Decoder(Vec<u8>);

impl Decoder {
    /// What can be decoded so far.
    ///
    /// # Errors
    /// Where it is no base64.
    pub fn decode(&mut self, piece: &[u8]) -> Result<Bytes, DecodeError> {
        self.0.extend_from_slice(piece);
        let rest = self.0.split_off(self.0.len() / 4 * 4);
        decode(&std::mem::replace(&mut self.0, rest)).map(Bytes::from)
    }

    /// Whether nothing is left over.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.0.is_empty()
    }
}

/// One piece of a response body. Each is padded by itself, so a client can read it as it comes.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_with_padding_of_their_own_are_joined() {
        for (body, expected) in [
            ("", Some(&b""[..])),
            ("YQ==", Some(b"a")),
            ("YWJj", Some(b"abc")),
            ("YQ==Yg==", Some(b"ab")),
            ("YWJjYQ==YmM=", Some(b"abcabc")),
            ("YQ", None),
            ("YQ==Y", None),
            ("====", None),
            ("Y Q=", None),
        ] {
            assert_eq!(decode(body.as_bytes()).ok().as_deref(), expected, "{body}");
        }
    }
}
