//! What a line for curl sends, as a body or in the query.

use super::{CurlFault, Read};
use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use std::error::Error;

/// RFC 3986 section 2.3: what never has to be escaped.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// How data is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text, or a file without its line breaks.
    Text,
    /// As it is, or a file as it is.
    Binary,
    /// As it is.
    Raw,
}

/// The data that an argument of this kind stands for.
pub(super) fn data(given: Vec<u8>, kind: Kind, read: &Read<'_>) -> Result<Bytes, Box<dyn Error>> {
    let data = match given.strip_prefix(b"@").filter(|_| kind != Kind::Raw) {
        Some(file) => read(file)?,
        None => return Ok(given.into()),
    };
    Ok(match kind {
        // As curl does it: a file that is sent as a form has no line breaks and no NULs.
        Kind::Text => data.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n' | b'\0')).collect(),
        Kind::Binary | Kind::Raw => data,
    })
}

/// What `--data-urlencode` and `--url-query` make of an argument: `content`, `=content`, `name=content`, `@FILE` or
/// `name@FILE`, of which the content is escaped.
pub(super) fn escaped(given: &[u8], read: &Read<'_>) -> Result<Bytes, Box<dyn Error>> {
    let at = given.iter().position(|byte| matches!(byte, b'=' | b'@'));
    let (name, content) = match at.and_then(|at| Some((given.get(..at)?, given.get(at..)?))) {
        None => (&b""[..], Bytes::copy_from_slice(given)),
        Some((name, [b'=', content @ ..])) => (name, Bytes::copy_from_slice(content)),
        Some((name, file)) => (name, read(file.strip_prefix(b"@").unwrap_or(file))?),
    };
    // In a form a space is `+`.
    let content = percent_encode(&content, ESCAPED).to_string().replace("%20", "+");
    let joint: &[u8] = if name.is_empty() { b"" } else { b"=" };
    Ok([name, joint, content.as_bytes()].concat().into())
}

/// What `--url-query` adds to the query: the same, or what stands behind `+` as it is.
pub(super) fn query(given: &[u8], read: &Read<'_>) -> Result<Bytes, Box<dyn Error>> {
    match given.strip_prefix(b"+") {
        Some(written) => Ok(Bytes::copy_from_slice(written)),
        None => escaped(given, read),
    }
}

/// The header that `-H` says. A colon without a value takes one away that curl would send, a semicolon sends it empty.
pub(super) fn header(line: String) -> Result<(String, Option<String>), CurlFault> {
    if line.starts_with('@') {
        return Err(CurlFault::HeaderFile(line));
    }
    let named = |name: &str, value: Option<&str>| (name.to_owned(), value.map(|value| value.trim().to_owned()));
    match (line.split_once(':'), line.trim_end().strip_suffix(';')) {
        (Some((name, value)), _) if value.trim().is_empty() => Ok(named(name, None)),
        (Some((name, value)), _) => Ok(named(name, Some(value))),
        (None, Some(name)) => Ok(named(name, Some(""))),
        (None, None) => Err(CurlFault::Header(line)),
    }
}
