//! The filters of a route where they are written.

use super::{source::Config, tree::join};
use filters::table::{ChainEntry, FilterConfig};
use std::borrow::Cow;

/// Chains of chains are for reading; nobody follows them deeper.
pub(super) const NESTING_MAX: usize = 16;
/// The most entries that a route's chain may come to. Chains that name each other twice double at each level.
pub(super) const ENTRIES_MAX: usize = 256;

/// A filter in a route's chain.
#[derive(Debug, Clone)]
pub struct Placed<'a> {
    /// Its configuration.
    pub filter: Cow<'a, FilterConfig>,
    /// The JSON pointer to its entry.
    pub pointer: String,
}

/// Why a chain has no filters to be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unplaced {
    /// A name in it leads nowhere, or too deep.
    Nowhere,
    /// It comes to more than [`ENTRIES_MAX`].
    TooMany,
}

/// The filters of these entries in their order, with the chains among them put in their place.
pub(super) fn placed<'a>(
    config: &'a Config,
    pointer: &str,
    entries: &'a [ChainEntry],
) -> Result<Vec<Placed<'a>>, Unplaced> {
    let mut waiting: Vec<(usize, String, &'a ChainEntry)> = Vec::new();
    let push = |waiting: &mut Vec<_>, depth, pointer: &str, entries: &'a [ChainEntry]| {
        waiting.extend(entries.iter().enumerate().rev().map(|(i, entry)| (depth, join(pointer, i), entry)));
    };
    push(&mut waiting, 0, pointer, entries);
    let mut placed = Vec::new();
    let mut visited = 0;
    while let Some((depth, at, entry)) = waiting.pop() {
        visited += 1;
        if visited + waiting.len() > ENTRIES_MAX {
            return Err(Unplaced::TooMany);
        }
        match entry {
            ChainEntry::Filter(filter) => placed.push(Placed { filter: Cow::Borrowed(filter), pointer: at }),
            ChainEntry::Name(name) => match (FilterConfig::bare(name), config.chains.get(name)) {
                (Some(filter), _) => placed.push(Placed { filter: Cow::Owned(filter), pointer: at }),
                (None, Some(entries)) if depth < NESTING_MAX => {
                    push(&mut waiting, depth + 1, &join("/chains", name), entries);
                }
                (None, _) => return Err(Unplaced::Nowhere),
            },
        }
    }
    Ok(placed)
}
