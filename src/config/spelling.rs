//! Segments of paths as the most forgiving backend reads them.

/// The letters of `text` without case, in every script: `ſ` is an `s` and `K` (Kelvin) a `k` to a backend that
/// upper-cases before it compares.
pub(crate) fn fold(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase)
}

/// A segment as the most forgiving backend reads it.
pub(crate) fn bare(segment: &str) -> &str {
    let name = segment.split_once(';').map_or(segment, |(name, _)| name);
    name.trim_end_matches(['.', ' '])
}
