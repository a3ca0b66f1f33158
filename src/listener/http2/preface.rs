//! How a connection of HTTP/2 begins, and the answer to one that begins otherwise.

/// What a client is told that speaks something else where only HTTP/2 is spoken.
pub(in crate::listener) const ONLY: &str = "only HTTP/2 is spoken here";
/// Type and flags, the stream 0, then the last stream that was taken, which is none, and the error (RFC 9113 section 6.8).
const GOAWAY_PROTOCOL_ERROR: &[u8] = b"\x07\0\0\0\0\0\0\0\0\0\0\0\0\x01";

/// The answer to what is no preface, where no other protocol is spoken: a connection error (RFC 9113 section 3.4),
/// after the SETTINGS with which a server must begin. Whoever asked by hand reads why.
pub(in crate::listener) fn no_preface() -> Vec<u8> {
    const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
    // Last stream and error have 4 bytes each.
    let length = [0, 0, 8 + ONLY.len() as u8];
    [SETTINGS, &length, GOAWAY_PROTOCOL_ERROR, ONLY.as_bytes()].concat()
}

/// A connection preface (RFC 9113 section 3.4).
pub(in crate::listener) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Whether `bytes` begin HTTP/2 with prior knowledge; `None` while that is open. The first byte that differs from
/// the preface decides, so a short HTTP/1 request is never waited on.
pub(in crate::listener) fn is_preface(bytes: &[u8]) -> Option<bool> {
    if bytes.len() >= PREFACE.len() {
        return Some(bytes.starts_with(PREFACE));
    }
    if PREFACE.starts_with(bytes) { None } else { Some(false) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_that_differs_decides() {
        for (bytes, expected) in [
            (&b""[..], None),
            (b"P", None),
            (b"G", Some(false)),
            (b"PO", Some(false)),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r", None),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Some(true)),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0", Some(true)),
            (b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", Some(false)),
        ] {
            assert_eq!(is_preface(bytes), expected, "{}", bytes.escape_ascii());
        }
    }
}
