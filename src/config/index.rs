//! Where the keys of a mapping stand, while it is read.

use super::{problem::Position, tree::Entry};
use std::collections::HashMap;

/// The most keys that are looked through one by one, which in a small mapping takes less time.
const SMALL_MAX: usize = 32;

/// Where the keys of a large mapping stand.
#[derive(Default)]
pub(super) struct Index(HashMap<String, Position>);

impl Index {
    /// Where a key stands, if it is one of these entries.
    pub(super) fn find(&self, key: &str, entries: &[Entry]) -> Option<Position> {
        match entries.len() > SMALL_MAX {
            true => self.0.get(key).copied(),
            false => entries.iter().find(|entry| entry.key == key).map(|entry| entry.key_at),
        }
    }

    /// Takes in the entry that has come last.
    pub(super) fn follow(&mut self, entries: &[Entry]) {
        if entries.len() > SMALL_MAX {
            let known = if self.0.is_empty() { 0 } else { entries.len() - 1 };
            self.0.extend(entries.iter().skip(known).map(|entry| (entry.key.clone(), entry.key_at)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree::{Node, Value};
    use super::*;

    #[test]
    fn every_key_is_found_in_a_mapping_of_any_size() {
        let (mut index, mut entries) = (Index::default(), Vec::new());
        let at = |line| Position { line, column: 1, width: 1 };
        for line in 0..3 * SMALL_MAX {
            let key = format!("key-{line}");
            assert_eq!(index.find(&key, &entries), None, "{key}");
            entries.push(Entry { key, key_at: at(line), node: Node { at: at(line), value: Value::Broken } });
            index.follow(&entries);
            for known in 0..=line {
                assert_eq!(index.find(&format!("key-{known}"), &entries), Some(at(known)), "{known} of {line}");
            }
        }
    }
}
