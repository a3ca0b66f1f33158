//! What was seen already.

use std::{
    collections::{HashSet, VecDeque, hash_map::RandomState},
    hash::BuildHasher as _,
};

/// A backend that starts again from a cursor repeats what came after it: far less than this.
const CURSORS_MAX: usize = 16_384;

/// The last cursors. Of each only a hash with a secret key is kept, so that long ones cost no more: two of these
/// many share one once in 10^15 events.
pub(super) struct Seen {
    hasher: RandomState,
    order: VecDeque<u64>,
    known: HashSet<u64>,
}

impl Seen {
    pub(super) fn new() -> Self {
        Self { hasher: RandomState::new(), order: VecDeque::new(), known: HashSet::new() }
    }

    /// Whether it is new. It is not from here on.
    pub(super) fn is_new(&mut self, cursor: &str) -> bool {
        let hash = self.hasher.hash_one(cursor);
        if !self.known.insert(hash) {
            return false;
        }
        self.order.push_back(hash);
        if self.order.len() > CURSORS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_cursors_are_known_and_older_ones_forgotten() {
        let mut seen = Seen::new();
        for number in 0..2 * CURSORS_MAX {
            assert!(seen.is_new(&number.to_string()));
        }
        assert!(!seen.is_new(&CURSORS_MAX.to_string()));
        assert!(seen.is_new("0"));
        assert_eq!((seen.order.len(), seen.known.len()), (CURSORS_MAX, CURSORS_MAX));
    }
}
