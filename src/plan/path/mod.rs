//! The one path of a request: decoded once, checked, matched by routes, and forwarded.
//!
//! Every way around a prefix rule (`/api/v1/internal/…`) needs two readers who see two paths. Dot segments, backslashes,
//! control characters and bytes that are not UTF-8 are therefore refused, not repaired. Three spellings that real APIs
//! use are [`Ambiguities`]: a path that has one is served only by a route that keeps it, and only where every
//! [reading](readings) of it leads there.

mod decode;
mod readings;
mod shut;

pub use shut::Shut;

use crate::config::source::{AmbiguousPath, PathRules};
use filters::api::{Reason, Refusal};

/// The longest path that is served, in bytes.
pub const PATH_BYTES_MAX: usize = 8 << 10;

/// What backends read in different ways in a path. Of a path: what it has. Of a route: what it lets through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ambiguities {
    /// `%2F`: a character to one reader, a separator to another.
    pub encoded_slash: bool,
    /// `//`: an empty segment to one reader, one slash to another.
    pub double_slash: bool,
    /// `%25` ahead of two hex digits: an escape to whoever decodes twice.
    pub encoded_percent: bool,
}

impl Ambiguities {
    /// Returns what is wrong with a path that has these, on a route that keeps `kept`; `None` where nothing is.
    #[must_use]
    pub fn beyond(self, kept: Self) -> Option<&'static str> {
        [
            (self.encoded_slash && !kept.encoded_slash, "the path has an encoded slash"),
            (self.double_slash && !kept.double_slash, "the path has an empty segment"),
            (self.encoded_percent && !kept.encoded_percent, "the path would change if it were decoded again"),
        ]
        .into_iter()
        .find_map(|(is_beyond, what)| is_beyond.then_some(what))
    }
}

impl From<PathRules> for Ambiguities {
    fn from(written: PathRules) -> Self {
        let PathRules { encoded_slash, double_slash, encoded_percent } = written;
        let is_kept = |rule| rule == AmbiguousPath::Keep;
        Self {
            encoded_slash: is_kept(encoded_slash),
            double_slash: is_kept(double_slash),
            encoded_percent: is_kept(encoded_percent),
        }
    }
}

/// A path whose readings are known. Two requests for one resource have equal canonical paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanonicalPath {
    /// What routes match: decoded once, but for encoded slashes.
    decoded: String,
    /// `None` where it is the same as `decoded`, which is nearly every request.
    encoded: Option<String>,
    ambiguous: Option<Box<Ambiguous>>,
}

/// What is kept of an ambiguous path alone.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ambiguous {
    kinds: Ambiguities,
    /// The reading of a backend that decodes until nothing is left to decode, and merges slashes.
    innermost: String,
}

impl CanonicalPath {
    /// Reads the path of a request target, without its query.
    ///
    /// # Errors
    /// `REQUEST_MALFORMED` for a path that is not absolute, is too long, has an invalid escape, is not UTF-8, or holds
    /// a control character, a backslash or a dot segment, in any of its readings; and for path parameters (`;`) in an
    /// ambiguous path.
    pub fn parse(raw: &[u8]) -> Result<Self, Refusal> {
        if raw.len() > PATH_BYTES_MAX {
            return Err(malformed("the path is too long"));
        }
        if raw.first() != Some(&b'/') {
            return Err(malformed("the path must begin with a slash"));
        }
        if let Some(decoded) = decode::plain(raw) {
            return Ok(Self { decoded, encoded: None, ambiguous: None });
        }
        let decode::Decoded { decoded, encoded, kinds } = decode::decode(raw)?;
        let ambiguous = match kinds == Ambiguities::default() {
            true => None,
            false => Some(Box::new(Ambiguous { kinds, innermost: readings::innermost(&encoded)? })),
        };
        let encoded = Some(encoded).filter(|encoded| *encoded != decoded);
        Ok(Self { decoded, encoded, ambiguous })
    }

    /// Returns the path decoded once, as routes match it. An encoded slash stays `%2F` in it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.decoded
    }

    /// Returns the path as it is forwarded: unreserved characters (RFC 3986 section 2.3) unescaped, reserved ones as
    /// they came, everything else in upper-case escapes.
    #[must_use]
    pub fn encoded(&self) -> &str {
        self.encoded.as_deref().unwrap_or(&self.decoded)
    }

    /// Returns what is ambiguous in it; `None` for nearly every path.
    #[must_use]
    pub fn ambiguities(&self) -> Option<Ambiguities> {
        self.ambiguous.as_ref().map(|ambiguous| ambiguous.kinds)
    }

    /// Returns every path that a backend could take an ambiguous one for, its own form among them.
    pub(super) fn readings(&self) -> Vec<String> {
        readings::all(self.encoded())
    }

    /// Returns the path that the most eager reader sees.
    fn innermost(&self) -> &str {
        self.ambiguous.as_ref().map_or(&self.decoded, |ambiguous| &ambiguous.innermost)
    }
}

fn malformed(detail: &'static str) -> Refusal {
    Refusal::because(Reason::RequestMalformed, detail)
}

#[cfg(test)]
mod tests;
