//! Heads of HTTP/1: how they were cut makes no difference, and what is taken has one meaning, which httparse sees too.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::listener::head::{Head, HeadLimits, HeadReader, HeadRefusal};

const LIMITS: HeadLimits = HeadLimits { bytes_max: 512, headers_max: 8 };

/// Reads a head that comes in pieces of `piece` bytes.
fn read(bytes: &[u8], piece: usize) -> Result<Option<Head>, HeadRefusal> {
    let mut reader = HeadReader::new(LIMITS);
    let mut end = 0;
    while end < bytes.len() {
        end = (end + piece).min(bytes.len());
        if let Some(head) = reader.read(&bytes[..end])? {
            return Ok(Some(head));
        }
    }
    Ok(None)
}

fuzz_target!(|input: &[u8]| {
    let Some((&piece, bytes)) = input.split_first() else { return };
    let in_pieces = read(bytes, usize::from(piece).max(1));
    let Ok(Some(head)) = read(bytes, bytes.len()) else {
        assert!(!matches!(in_pieces, Ok(Some(_))));
        return;
    };
    assert_eq!(in_pieces.as_ref(), Ok(&Some(head.clone())));
    let text = &bytes[head.bytes.clone()];
    assert!(text.len() <= LIMITS.bytes_max);
    for (at, byte) in text.iter().enumerate() {
        assert!(*byte != b'\n' || (at > 0 && text[at - 1] == b'\r'));
        assert!(*byte != b'\r' || text.get(at + 1) == Some(&b'\n'));
    }
    // HTTP/1.2 to 1.9 are read as 1.1 (RFC 9110 section 2.5), which httparse does not know.
    let mut text = text.to_vec();
    let digit = text.windows(2).position(|two| two == b"\r\n").unwrap() - 1;
    if text[digit] > b'1' {
        text[digit] = b'1';
    }
    let mut headers = [httparse::EMPTY_HEADER; 16];
    let mut request = httparse::Request::new(&mut headers);
    assert_eq!(request.parse(&text), Ok(httparse::Status::Complete(text.len())));
    assert_eq!(request.method.unwrap().as_bytes(), &bytes[head.method]);
    assert_eq!(request.path.unwrap().as_bytes(), &bytes[head.target]);
});
