//! Which paths lie under which, for proofs: what is doubtful is taken to lie there.

use super::super::spelling::{bare, fold};

/// The beginning of paths: a folder and its bare name, in every spelling that a backend could take for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reach {
    /// Folded.
    segments: Vec<String>,
    /// Written without a slash at its end: every name that begins with the last segment is meant too.
    is_open: bool,
}

impl Reach {
    pub(super) fn new(prefix: &str) -> Self {
        let segments: Vec<String> =
            prefix.split('/').filter(|segment| !segment.is_empty()).map(|segment| fold(segment).collect()).collect();
        let is_open = !prefix.ends_with('/') && !segments.is_empty();
        Self { segments, is_open }
    }

    /// Whether a path of this pattern can lie there: `/a/{b}/*`.
    pub(super) fn overlaps(&self, pattern: &str) -> bool {
        let mut pieces = pattern.split('/').skip(1);
        for (at, segment) in self.segments.iter().enumerate() {
            match pieces.next() {
                None => return false,
                Some("*") => return true,
                Some(piece) if is_parameter(piece) || self.names(at, segment, piece) => {}
                Some(_) => return false,
            }
        }
        true
    }

    /// Whether every path of this pattern lies there.
    pub(super) fn holds(&self, pattern: &str) -> bool {
        let mut pieces = pattern.split('/').skip(1);
        self.segments.iter().enumerate().all(|(at, segment)| {
            pieces.next().is_some_and(|piece| piece != "*" && !is_parameter(piece) && self.names(at, segment, piece))
        })
    }

    /// Whether all that lies under another beginning lies here.
    pub(super) fn holds_all(&self, other: &Self) -> bool {
        if other.is_open && other.segments.len() <= self.segments.len() {
            // `/a` means `/ab` too, which is not in `/a/`.
            return self == other;
        }
        let mut others = other.segments.iter();
        self.segments.iter().enumerate().all(|(at, segment)| others.next().is_some_and(|o| self.begins(at, segment, o)))
    }

    fn names(&self, at: usize, segment: &str, piece: &str) -> bool {
        self.begins(at, segment, &fold(bare(piece)).collect::<String>())
    }

    fn begins(&self, at: usize, segment: &str, folded: &str) -> bool {
        let is_last = at + 1 == self.segments.len();
        folded == segment || (self.is_open && is_last && folded.starts_with(segment))
    }
}

fn is_parameter(piece: &str) -> bool {
    piece.starts_with('{') && piece.ends_with('}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_lie_under_a_path() {
        for (prefix, pattern, overlaps, holds) in [
            ("/a/b/", "/a/b", true, true),
            ("/a/b/", "/a/b/c", true, true),
            ("/a/b/", "/a/b/*", true, true),
            ("/a/b/", "/A/B;x./c", true, true),
            ("/a/b/", "/a/*", true, false),
            ("/a/b/", "/*", true, false),
            ("/a/b/", "/a/{x}", true, false),
            ("/a/b/", "/{x}/{y}/{z}", true, false),
            ("/a/b/", "/a/b/{z}", true, true),
            ("/a/b/", "/a", false, false),
            ("/a/b/", "/{x}", false, false),
            ("/a/b/", "/a/bc", false, false),
            ("/a/b/", "/c/*", false, false),
            ("/a/b", "/a/bc", true, true),
            ("/a/b", "/a/c", false, false),
            ("/", "/x", true, true),
            ("/", "/*", true, true),
        ] {
            let reach = Reach::new(prefix);
            assert_eq!((reach.overlaps(pattern), reach.holds(pattern)), (overlaps, holds), "{prefix} {pattern}");
        }
    }

    #[test]
    fn what_is_shut_whole() {
        for (shut, under, expected) in [
            ("/a/", "/a/", true),
            ("/a/", "/a/b/", true),
            ("/A/", "/a/", true),
            ("/a", "/ab/", true),
            ("/a", "/a", true),
            ("/a/", "/a", false),
            ("/a/b/", "/a/", false),
            ("/a/", "/b/", false),
            ("/", "/a/", true),
        ] {
            assert_eq!(Reach::new(shut).holds_all(&Reach::new(under)), expected, "{shut} {under}");
        }
    }
}
