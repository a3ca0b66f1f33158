//! Decodes a path once, and writes it as it is forwarded.

use super::{Ambiguities, malformed};
use crate::config::spelling::is_dot_segment;
use filters::api::Refusal;

/// A path in the two forms of [`CanonicalPath`](super::CanonicalPath).
pub(super) struct Decoded {
    pub(super) decoded: String,
    pub(super) encoded: String,
    pub(super) kinds: Ambiguities,
}

/// Takes a path that every reader reads alike as it stands: no escapes, parameters, empty or dotted segments.
pub(super) fn plain(raw: &[u8]) -> Option<String> {
    let mut follows_slash = false;
    for byte in raw {
        if !is_pchar(*byte) || *byte == b';' || (follows_slash && matches!(byte, b'/' | b'.')) {
            return None;
        }
        follows_slash = *byte == b'/';
    }
    std::str::from_utf8(raw).ok().map(str::to_owned)
}

/// Decodes escapes exactly once.
pub(super) fn decode(raw: &[u8]) -> Result<Decoded, Refusal> {
    let mut kinds = Ambiguities::default();
    let mut decoded = Vec::with_capacity(raw.len());
    let mut encoded = String::with_capacity(raw.len());
    let mut rest = raw.iter();
    while let Some(&byte) = rest.next() {
        match byte {
            b'%' => match escaped(&mut rest) {
                Some(b'/') => {
                    kinds.encoded_slash = true;
                    decoded.extend_from_slice(b"%2F");
                    encoded.push_str("%2F");
                }
                Some(byte) => {
                    decoded.push(byte);
                    push(&mut encoded, byte, is_unreserved(byte));
                }
                None => return Err(malformed("the path has an invalid escape")),
            },
            // RFC 3986 section 2: a URI is ASCII; a fragment never reaches a server (section 3.5).
            b'#' | 0x80.. => return Err(malformed("the path has a character that must be escaped")),
            plain => {
                decoded.push(plain);
                push(&mut encoded, plain, is_pchar(plain));
            }
        }
    }
    let decoded = String::from_utf8(decoded).map_err(|_| malformed("the path is not UTF-8"))?;
    check_characters(&decoded)?;
    let mut segments = decoded.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        check_segment(segment)?;
        // Only the end of a path may be empty.
        kinds.double_slash |= segment.is_empty() && !is_last;
    }
    kinds.encoded_percent = has_encoded_escape(&encoded);
    Ok(Decoded { decoded, encoded, kinds })
}

/// Refuses what no reading of a path may hold.
pub(super) fn check_characters(path: &str) -> Result<(), Refusal> {
    match path.contains(|character: char| character == '\\' || character.is_control()) {
        true => Err(malformed("the path has a backslash or a control character")),
        false => Ok(()),
    }
}

/// Refuses a segment that is dots, or nothing but parameters.
pub(super) fn check_segment(segment: &str) -> Result<(), Refusal> {
    if is_dot_segment(segment) {
        return Err(malformed("the path has a dot segment"));
    }
    // Tomcat makes `//` of `/;x/`.
    match segment.starts_with(';') {
        true => Err(malformed("the path has an empty segment")),
        false => Ok(()),
    }
}

/// Takes the two digits behind a `%`.
fn escaped(rest: &mut std::slice::Iter<'_, u8>) -> Option<u8> {
    let (high, low) = rest.next().zip(rest.next())?;
    Some(hex(*high)? << 4 | hex(*low)?)
}

fn push(encoded: &mut String, byte: u8, is_plain: bool) {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    if is_plain {
        encoded.push(char::from(byte));
    } else {
        let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or('0');
        encoded.extend(['%', digit(byte >> 4), digit(byte & 0x0f)]);
    }
}

/// Says whether a path has an escape once its escapes are decoded. Hex digits are unreserved, so they stand unescaped.
fn has_encoded_escape(encoded: &str) -> bool {
    let is_escape = |five: &[u8]| matches!(five, [b'%', b'2', b'5', high, low] if hex(*high).and(hex(*low)).is_some());
    encoded.as_bytes().windows(5).any(is_escape)
}

/// RFC 3986 section 2.3.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// RFC 3986 section 3.3: `pchar` without escapes, and the slash.
pub(super) const fn is_pchar(byte: u8) -> bool {
    let is_sub_delim = matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=');
    is_unreserved(byte) || is_sub_delim || matches!(byte, b':' | b'@' | b'/')
}

pub(super) const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}
