//! Path prefixes that are shut from outside.

use super::CanonicalPath;
use crate::config::spelling::{bare, fold};

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

    /// Says whether `path`, as the most eager reader sees it, lies under one of the prefixes.
    ///
    /// Every other reading that lies there begins with the same names, unescaped, and so does that one.
    #[must_use]
    pub fn covers(&self, path: &CanonicalPath) -> bool {
        self.prefixes.iter().any(|prefix| prefix.covers(path.innermost()))
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
