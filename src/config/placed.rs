//! The filters of a route where they are written.

use super::{source::Config, tree::join};
use filters::table::{ChainEntry, FilterConfig};

/// Chains of chains are for reading; nobody follows them deeper.
pub(super) const NESTING_MAX: usize = 16;
/// The most entries that a route's chain may come to. Chains that name each other twice double at each level.
pub(super) const ENTRIES_MAX: usize = 256;

/// A route's chain with the chains in it put in their place.
#[derive(Debug, Default)]
pub struct Expanded<'a> {
    /// Its filters in their order.
    pub filters: Vec<Placed<'a>>,
    /// The chains that were put in their place, each as often as it is named.
    pub chains: Vec<&'a str>,
}

/// A filter in a route's chain.
#[derive(Debug, Clone, Copy)]
pub struct Placed<'a> {
    /// Its configuration.
    pub filter: &'a FilterConfig,
    /// The chain that it is an entry of; the route's own where it is none.
    chain: Option<&'a str>,
    entry: usize,
}

/// Why a chain has no filters to be listed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unplaced {
    /// This name in it leads nowhere, or too deep.
    #[error("`{0}` in its chain leads nowhere")]
    Nowhere(String),
    /// It comes to more than [`ENTRIES_MAX`].
    #[error("its chain comes to more than {ENTRIES_MAX} entries")]
    TooMany,
}

impl Placed<'_> {
    /// The JSON pointer to its entry, where it is a filter of the route at this index.
    #[must_use]
    pub fn pointer(&self, route: usize) -> String {
        match self.chain {
            Some(chain) => join(&join("/chains", chain), self.entry),
            None => format!("/routes/{route}/chain/{}", self.entry),
        }
    }
}

impl<'a> Expanded<'a> {
    /// Of the entries of a route's chain. The limits of chains hold here, for everybody.
    ///
    /// # Errors
    /// Where the configuration's checks refuse it.
    pub fn of(config: &'a Config, entries: &'a [ChainEntry]) -> Result<Self, Unplaced> {
        let mut expanded = Self::default();
        let mut waiting = Vec::new();
        let push = |waiting: &mut Vec<_>, depth, chain: Option<&'a str>, entries: &'a [ChainEntry]| {
            waiting.extend(entries.iter().enumerate().rev().map(|(at, entry)| (depth, chain, at, entry)));
        };
        push(&mut waiting, 0, None, entries);
        let mut visited = 0;
        while let Some((depth, chain, at, entry)) = waiting.pop() {
            visited += 1;
            if visited + waiting.len() > ENTRIES_MAX {
                return Err(Unplaced::TooMany);
            }
            let name = match entry {
                ChainEntry::Filter(filter) => {
                    expanded.filters.push(Placed { filter, chain, entry: at });
                    continue;
                }
                ChainEntry::Name(name) => name,
            };
            match (FilterConfig::bare(name), config.chains.get_key_value(name)) {
                (Some(filter), _) => expanded.filters.push(Placed { filter, chain, entry: at }),
                (None, Some((name, entries))) if depth < NESTING_MAX => {
                    expanded.chains.push(name);
                    push(&mut waiting, depth + 1, Some(name), entries);
                }
                (None, _) => return Err(Unplaced::Nowhere(name.clone())),
            }
        }
        Ok(expanded)
    }
}
