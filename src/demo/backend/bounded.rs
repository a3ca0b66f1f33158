//! A map that holds so many entries and no more.

use std::collections::{HashMap, VecDeque};

/// The newest entries by id: a new one beyond the limit takes the place of the oldest.
#[derive(Debug)]
pub(super) struct Bounded<V> {
    entries: HashMap<String, V>,
    by_age: VecDeque<String>,
    entries_max: usize,
}

impl<V> Bounded<V> {
    pub(super) fn new(entries_max: usize) -> Self {
        Self { entries: HashMap::new(), by_age: VecDeque::new(), entries_max }
    }

    pub(super) fn get(&self, id: &str) -> Option<&V> {
        self.entries.get(id)
    }

    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut V> {
        self.entries.get_mut(id)
    }

    /// Adds an entry; one of the same id keeps its age.
    pub(super) fn insert(&mut self, id: String, value: V) {
        if self.entries.insert(id.clone(), value).is_some() {
            return;
        }
        self.by_age.push_back(id);
        if self.by_age.len() > self.entries_max
            && let Some(oldest) = self.by_age.pop_front()
        {
            self.entries.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_makes_room() {
        let mut bounded = Bounded::new(2);
        for (id, value) in [("a", 1), ("b", 2), ("a", 3), ("c", 4)] {
            bounded.insert(id.to_owned(), value);
        }
        assert_eq!(["a", "b", "c"].map(|id| bounded.get(id).copied()), [None, Some(2), Some(4)]);
        assert_eq!((bounded.entries.len(), bounded.by_age.len()), (2, 2));
    }
}
