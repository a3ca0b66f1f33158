//! Segments of paths as the most forgiving backend reads them.

use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// How many times a value may be escaped within itself.
const ESCAPED_MAX: usize = 3;

/// The letters of `text` without case, in every script: `ſ` is an `s` and `K` (Kelvin) a `k` to a backend that
/// upper-cases before it compares.
pub(crate) fn fold(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase)
}

/// A segment as the most forgiving backend reads it.
pub(crate) fn bare(segment: &str) -> &str {
    name(segment).trim_end_matches(['.', ' '])
}

/// Says whether a segment is `.` or `..` to some backend. Tomcat takes parameters off first, so that `..;x` climbs
/// (CVE-2020-5902).
pub(crate) fn is_dot_segment(segment: &str) -> bool {
    matches!(name(segment).trim(), "." | "..")
}

fn name(segment: &str) -> &str {
    segment.split_once(';').map_or(segment, |(name, _)| name)
}

/// Says whether a value that is put into a path as one escaped segment leads elsewhere for some backend: one that decodes
/// it before it splits the path, or decodes it more than once. `a/b` does not climb, `a/../b` and `%2e%2e` do, and so does
/// what is escaped more often than a backend has a use for.
pub(crate) fn climbs(value: &str) -> bool {
    let mut value = Cow::Borrowed(value);
    for _ in 0..=ESCAPED_MAX {
        if value.split(['/', '\\']).any(is_dot_segment) {
            return true;
        }
        let decoded = percent_decode_str(&value).decode_utf8_lossy().into_owned();
        if decoded == value {
            return false;
        }
        value = Cow::Owned(decoded);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_climb() {
        for (value, expected) in [
            ("a", false),
            ("a.b", false),
            ("...", false),
            ("..a", false),
            ("a/b", false),
            ("a\\b", false),
            ("100%", false),
            ("%2F", false),
            ("50%25", false),
            (".", true),
            ("..", true),
            ("..;x", true),
            (" ..", true),
            ("../x", true),
            ("a/../b", true),
            ("a\\..\\b", true),
            ("%2e%2e", true),
            ("a%2f..", true),
            ("%252e", true),
            ("a%25255c..", true),
            ("%252541", false),
            ("%25252541", true),
        ] {
            assert_eq!(climbs(value), expected, "{value}");
        }
    }
}
