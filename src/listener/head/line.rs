//! One line of a head.

use super::HeadRefusal;
use memchr::memchr;
use std::ops::Range;

/// The longest method in the IANA registry has 16 characters.
pub(super) const METHOD_BYTES_MAX: usize = 32;
/// RFC 9112 section 3 asks for 8000 bytes at least; the `http` crate takes 65534 at the most.
pub(super) const TARGET_BYTES_MAX: usize = 60 << 10;
/// More than the `http` crate takes of one name.
const NAME_BYTES_MAX: usize = 32 << 10;

/// A request line, RFC 9112 section 3.
#[derive(Debug)]
pub(super) struct RequestLine {
    pub(super) method: Range<usize>,
    pub(super) target: Range<usize>,
    /// 0 of HTTP/1.0 or 1 of HTTP/1.1.
    pub(super) minor: u8,
}

/// Reads a request line that begins at `at`: exactly two single spaces. The section's leave to split at any white
/// space is not taken: `GET /a /b HTTP/1.1` is a request for `/a` to some and for `/a /b` to others.
pub(super) fn request_line(line: &[u8], at: usize) -> Result<RequestLine, HeadRefusal> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target)) = (parts.next(), parts.next()) else {
        return Err(HeadRefusal::malformed("the request line is malformed"));
    };
    let version = parts.next().ok_or_else(|| HeadRefusal::malformed("the request line has no version"))?;
    if parts.next().is_some() || target.is_empty() {
        return Err(HeadRefusal::malformed("the request line has stray spaces"));
    }
    check_method(method)?;
    check_target(target)?;
    let minor = match version {
        b"HTTP/1.0" => 0,
        // RFC 9110 section 2.5: a higher minor version is taken for the highest that is spoken.
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'..=b'9'] => 1,
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
            return Err(HeadRefusal::version("only HTTP/1.1 and HTTP/1.0 are spoken here"));
        }
        _ => return Err(HeadRefusal::malformed("the HTTP version is malformed")),
    };
    let target_at = at + method.len() + 1;
    Ok(RequestLine { method: at..at + method.len(), target: target_at..target_at + target.len(), minor })
}

/// Checks a method (RFC 9110 section 9.1).
pub(super) fn check_method(method: &[u8]) -> Result<(), HeadRefusal> {
    if !is_token(method) {
        return Err(HeadRefusal::malformed("the method is malformed"));
    }
    if method.len() > METHOD_BYTES_MAX { Err(HeadRefusal::method_too_long()) } else { Ok(()) }
}

/// Checks the characters of a target. RFC 3986: a URI is visible ASCII; RFC 9112 section 3.2: a fragment is never sent. Of
/// what else a URI cannot have, that is refused which Pingora cannot read: it would answer without a reason, an id or a
/// line in the log.
pub(super) fn check_target(target: &[u8]) -> Result<(), HeadRefusal> {
    if target.len() > TARGET_BYTES_MAX {
        return Err(HeadRefusal::target_too_long());
    }
    let mut parts = target.splitn(2, |byte| *byte == b'?');
    let (path, query) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let is_visible = |byte: &u8| matches!(byte, b'!'..=b'~') && !matches!(byte, b'#' | b'<' | b'>');
    let is_target = path.iter().all(|byte| is_visible(byte) && *byte != b'`')
        && query.iter().all(|byte| is_visible(byte) && *byte != b'"');
    match is_target {
        true => Ok(()),
        false => Err(HeadRefusal::malformed("the request target has a character that must be escaped")),
    }
}

/// Reads a header line, RFC 9112 section 5.
pub(super) fn header(line: &[u8]) -> Result<(&[u8], &[u8]), HeadRefusal> {
    // Section 5.2: a folded line belongs to the value before it, to those who know of folding; section 2.2: white
    // space before the first header hides it from those who skip such lines.
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(HeadRefusal::malformed("a header line begins with white space"));
    }
    let split = memchr(b':', line).and_then(|colon| Some((line.get(..colon)?, line.get(colon + 1..)?)));
    let Some((name, value)) = split else {
        return Err(HeadRefusal::malformed("a header line has no colon"));
    };
    // Section 5.1: white space before the colon has been used to hide a header from one of two readers.
    if !is_token(name) {
        return Err(HeadRefusal::malformed("a header name is malformed"));
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(HeadRefusal::too_large("a header name is too long"));
    }
    // RFC 9110 section 5.5: CR, LF and NUL are dangerous, other controls are invalid. Looked for to the end, without a
    // branch for each byte, as nearly every value is in order.
    let is_control = |byte: &u8| !matches!(byte, b'\t' | b' '..=b'~' | 0x80..);
    if value.iter().fold(false, |found, byte| found | is_control(byte)) {
        return Err(HeadRefusal::malformed("a header value has a control character"));
    }
    Ok((name, trim(value)))
}

/// RFC 9110 section 5.6.2.
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().fold(true, |so_far, byte| so_far & is_token_byte(*byte))
}

/// Written as ranges, which cost one test of a bit for a byte.
const fn is_token_byte(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}

/// Without the optional white space around a value (RFC 9110 section 5.6.3: spaces and tabs only).
pub(super) fn trim(value: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let Some(begin) = value.iter().position(|byte| !is_blank(byte)) else { return &[] };
    let end = value.iter().rposition(|byte| !is_blank(byte)).map_or(begin, |last| last + 1);
    value.get(begin..end).unwrap_or_default()
}
