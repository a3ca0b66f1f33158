//! The one path of a request: decoded once, checked, matched by routes, and forwarded.
//!
//! Every way around a prefix rule (`/api/v1/internal/…`) needs two readers who see two paths. So whatever two
//! known backends read differently is refused here rather than repaired, and what is left has one spelling.

use crate::config::spelling::{bare, fold};
use filters::api::{Reason, Refusal};
use std::borrow::Cow;

/// Longer paths are refused: no route needs one, and what is decoded here is held for the whole request.
pub const PATH_BYTES_MAX: usize = 8 << 10;

/// A path that every reader reads alike. Two requests for one resource have equal canonical paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanonicalPath {
    decoded: String,
    /// `None` where it is the same as `decoded`, which is nearly every request.
    encoded: Option<String>,
}

impl CanonicalPath {
    /// Reads the path of a request target, without its query.
    ///
    /// # Errors
    /// `REQUEST_MALFORMED` for a path that is not absolute, is too long, has an invalid escape, is not UTF-8, or holds
    /// a control character, an encoded slash, a backslash, an empty or a dot segment, or an escape under an escape.
    pub fn parse(raw: &[u8]) -> Result<Self, Refusal> {
        if raw.len() > PATH_BYTES_MAX {
            return Err(malformed("the path is too long"));
        }
        if raw.first() != Some(&b'/') {
            return Err(malformed("the path must begin with a slash"));
        }
        let decoded = decode(raw)?;
        let mut segments = decoded.split('/').skip(1).peekable();
        while let Some(segment) = segments.next() {
            if let Some(what) = ambiguous(segment, segments.peek().is_none()) {
                return Err(malformed(what));
            }
        }
        let encoded = match encode(&decoded) {
            Cow::Borrowed(_) => None,
            Cow::Owned(encoded) => Some(encoded),
        };
        Ok(Self { decoded, encoded })
    }

    /// The decoded path: what routes match.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.decoded
    }

    /// The path as it is forwarded: RFC 3986 `pchar` as they are, everything else in upper-case escapes.
    #[must_use]
    pub fn encoded(&self) -> &str {
        self.encoded.as_deref().unwrap_or(&self.decoded)
    }
}

/// Path prefixes that are never reachable from outside.
///
/// They are compared as the most forgiving backend would: whatever the case (IIS, some Spring set-ups), without path
/// parameters (`/internal;x/` is `/internal/` to Tomcat), and without the dots and blanks that Windows drops from
/// the end of a name.
#[derive(Debug, Clone, Default)]
pub struct Shut {
    prefixes: Vec<Prefix>,
}

#[derive(Debug, Clone)]
struct Prefix {
    segments: Vec<String>,
    /// Written without a slash at its end: every name that begins with the last segment is shut too.
    open_ended: bool,
}

impl Shut {
    /// Takes decoded prefixes: `/internal/` shuts that folder and its bare name; `/internal` also `/internal-2`.
    pub fn new<'a>(prefixes: impl IntoIterator<Item = &'a str>) -> Self {
        let prefixes = prefixes
            .into_iter()
            .map(|prefix| {
                let inner = prefix.strip_prefix('/').unwrap_or(prefix);
                let (inner, open_ended) = match inner.strip_suffix('/') {
                    Some(folder) => (folder, false),
                    None => (inner, !inner.is_empty()),
                };
                let segments =
                    inner.split('/').filter(|segment| !segment.is_empty()).map(|segment| fold(segment).collect());
                Prefix { segments: segments.collect(), open_ended }
            })
            .collect();
        Self { prefixes }
    }

    /// Whether `path` lies under one of the prefixes.
    #[must_use]
    pub fn covers(&self, path: &CanonicalPath) -> bool {
        self.prefixes.iter().any(|prefix| prefix.covers(path.as_str()))
    }
}

impl Prefix {
    fn covers(&self, path: &str) -> bool {
        let mut names = path.split('/').skip(1);
        let last = self.segments.len().checked_sub(1);
        self.segments.iter().enumerate().all(|(at, shut)| {
            let Some(name) = names.next() else { return false };
            let mut name = fold(bare(name));
            let begins = shut.chars().all(|shut| name.next() == Some(shut));
            begins && ((self.open_ended && Some(at) == last) || name.next().is_none())
        })
    }
}

/// Decodes escapes exactly once.
fn decode(raw: &[u8]) -> Result<String, Refusal> {
    let mut decoded = Vec::with_capacity(raw.len());
    let mut rest = raw.iter();
    while let Some(&byte) = rest.next() {
        let byte = match byte {
            b'%' => {
                let digits = rest.next().zip(rest.next());
                let escaped = digits.and_then(|(high, low)| Some(hex(*high)? << 4 | hex(*low)?));
                match escaped {
                    // An encoded slash is a character to one reader and a separator to the next.
                    Some(b'/') => return Err(malformed("the path has an encoded slash")),
                    Some(escaped) => escaped,
                    None => return Err(malformed("the path has an invalid escape")),
                }
            }
            // RFC 3986 section 2: a URI is ASCII; a fragment never reaches a server (section 3.5).
            b'#' | 0x80.. => return Err(malformed("the path has a character that must be escaped")),
            plain => plain,
        };
        decoded.push(byte);
    }
    let decoded = String::from_utf8(decoded).map_err(|_| malformed("the path is not UTF-8"))?;
    if decoded.contains(|character: char| character == '\\' || character.is_control()) {
        return Err(malformed("the path has a backslash or a control character"));
    }
    if has_escape(decoded.as_bytes()) {
        return Err(malformed("the path would change if it were decoded again"));
    }
    Ok(decoded)
}

fn has_escape(decoded: &[u8]) -> bool {
    decoded.windows(3).any(|three| matches!(three, [b'%', high, low] if hex(*high).and(hex(*low)).is_some()))
}

/// Says what two readers could disagree about in a segment.
fn ambiguous(segment: &str, is_last: bool) -> Option<&'static str> {
    let name = segment.split_once(';').map_or(segment, |(name, _)| name);
    // `..;` climbs in Tomcat, which takes parameters off first (CVE-2020-5902).
    if matches!(name.trim(), "." | "..") {
        return Some("the path has a dot segment");
    }
    // nginx merges `//` and Spring does not; Tomcat makes one of `/;x/`. Merged here, it would differ from what a
    // signature or a backend's own rule saw, so it is refused. Only the end of a path may be empty.
    let is_trailing_slash = is_last && segment.is_empty();
    (name.is_empty() && !is_trailing_slash).then_some("the path has an empty segment")
}

/// Writes `decoded` with everything escaped that is not a `pchar` or a slash (RFC 3986 section 3.3).
fn encode(decoded: &str) -> Cow<'_, str> {
    if decoded.bytes().all(is_plain) {
        return Cow::Borrowed(decoded);
    }
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    let mut encoded = String::with_capacity(decoded.len() + 16);
    for byte in decoded.bytes() {
        if is_plain(byte) {
            encoded.push(char::from(byte));
        } else {
            let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or('0');
            encoded.extend(['%', digit(byte >> 4), digit(byte & 0x0f)]);
        }
    }
    Cow::Owned(encoded)
}

const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
                | b':'
                | b'@'
                | b'/'
        )
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn malformed(detail: &'static str) -> Refusal {
    Refusal::because(Reason::RequestMalformed, detail)
}

#[cfg(test)]
#[path = "path_tests.rs"]
mod tests;
