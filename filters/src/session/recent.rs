//! What was noted lately.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

/// How many entries at most are let go because they are over, for each that is new: two would do to shrink,
/// and no caller waits while a store of a hundred thousand empties.
const RELEASED_MAX: usize = 4;

/// A bounded map whose entries all live equally long, so that the oldest is always the next to go. Memory
/// beside the keys: some 100 bytes and the value for each entry, and 40 bytes for each that was replaced.
pub(super) struct Recent<V> {
    entries: HashMap<Arc<str>, (u64, V)>,
    /// In the order in which they came, those that were replaced or removed since too: at most twice as many as
    /// there may be entries, or a key that comes again and again would fill the memory.
    arrivals: VecDeque<Arrival>,
    lives: Duration,
    entries_max: usize,
    turns: u64,
}

struct Arrival {
    key: Arc<str>,
    turn: u64,
    at: Duration,
}

/// Why an entry went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gone {
    /// It had lived its time.
    Over,
    /// There was no room for it.
    Early,
}

impl<V> Recent<V> {
    /// At most so many entries, each of which lives so long.
    pub(super) fn new(lives: Duration, entries_max: usize) -> Self {
        Self { entries: HashMap::new(), arrivals: VecDeque::new(), lives, entries_max: entries_max.max(1), turns: 0 }
    }

    /// Lets every entry live at least so long.
    pub(super) fn live_at_least(&mut self, lives: Duration) {
        self.lives = self.lives.max(lives);
    }

    /// The entry, which may be over: nothing goes before something new comes.
    pub(super) fn get(&self, key: &str) -> Option<&V> {
        self.entries.get(key).map(|(_, value)| value)
    }

    /// The same, to be changed.
    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut V> {
        self.entries.get_mut(key).map(|(_, value)| value)
    }

    /// Takes an entry out.
    pub(super) fn remove(&mut self, key: &str) {
        self.entries.remove(key);
    }

    /// Notes `value` at `now`, in the place of what `key` had, and tells `gone` what went for it.
    pub(super) fn insert(&mut self, key: &str, value: V, now: Duration, mut gone: impl FnMut(V, Gone)) {
        for _ in 0..RELEASED_MAX {
            let Some(why) = self.leaves(now) else { break };
            self.release(why, &mut gone);
        }
        while self.entries.len() >= self.entries_max && !self.entries.contains_key(key) {
            self.release(Gone::Early, &mut gone);
        }
        self.turns += 1;
        let (key, turn): (Arc<str>, u64) = (key.into(), self.turns);
        self.arrivals.push_back(Arrival { key: Arc::clone(&key), turn, at: now });
        self.entries.insert(key, (turn, value));
    }

    /// Why the oldest has to leave, where it has to.
    fn leaves(&self, now: Duration) -> Option<Gone> {
        let oldest = self.arrivals.front()?;
        if now.saturating_sub(oldest.at) >= self.lives {
            return Some(Gone::Over);
        }
        (self.arrivals.len() / 2 >= self.entries_max).then_some(Gone::Early)
    }

    /// Lets go of the oldest, and of its entry unless another has come in its place.
    fn release(&mut self, why: Gone, gone: &mut impl FnMut(V, Gone)) {
        let Some(oldest) = self.arrivals.pop_front() else { return };
        if self.entries.get(&oldest.key).is_some_and(|(turn, _)| *turn == oldest.turn)
            && let Some((_, value)) = self.entries.remove(&oldest.key)
        {
            gone(value, why);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Duration = Duration::from_secs(10);

    fn insert(recent: &mut Recent<u32>, key: &str, value: u32, second: u64) -> Vec<(u32, Gone)> {
        let mut gone = Vec::new();
        recent.insert(key, value, Duration::from_secs(second), |value, why| gone.push((value, why)));
        gone
    }

    #[test]
    fn the_oldest_goes_when_it_is_over_or_has_no_room() {
        let mut recent = Recent::new(LIFE, 3);
        for (key, value, second, gone) in [
            ("a", 1, 0, vec![]),
            ("b", 2, 1, vec![]),
            ("c", 3, 2, vec![]),
            ("d", 4, 3, vec![(1, Gone::Early)]),
            ("e", 5, 11, vec![(2, Gone::Over)]),
            ("f", 6, 30, vec![(3, Gone::Over), (4, Gone::Over), (5, Gone::Over)]),
        ] {
            assert_eq!(insert(&mut recent, key, value, second), gone, "{key}");
            assert_eq!(recent.get(key), Some(&value));
        }
        assert_eq!((recent.get("e"), recent.entries.len()), (None, 1));
    }

    #[test]
    fn what_came_anew_does_not_go_with_what_it_replaced() {
        let mut recent = Recent::new(LIFE, 10);
        insert(&mut recent, "a", 1, 0);
        insert(&mut recent, "a", 2, 5);
        insert(&mut recent, "b", 3, 6);
        recent.remove("b");
        assert_eq!(insert(&mut recent, "c", 4, 12), []);
        assert_eq!((recent.get("a"), recent.get("b")), (Some(&2), None));
        assert_eq!(insert(&mut recent, "d", 5, 16), [(2, Gone::Over)]);
    }

    #[test]
    fn what_was_taken_out_leaves_its_room() {
        let mut recent = Recent::new(LIFE, 2);
        for (turn, key) in ["a", "b", "c", "d"].into_iter().enumerate() {
            insert(&mut recent, "kept", 0, 0);
            assert_eq!(insert(&mut recent, key, turn as u32, 0), [], "{key}");
            recent.remove(key);
        }
        assert_eq!(recent.get("kept"), Some(&0));
    }

    #[test]
    fn one_key_again_and_again_takes_no_more_room_than_many() {
        let mut recent = Recent::new(LIFE, 3);
        for turn in 0..100 {
            assert_eq!(insert(&mut recent, "a", turn, 0), []);
        }
        assert_eq!((recent.get("a"), recent.arrivals.len()), (Some(&99), 6));
    }

    #[test]
    fn no_insert_pays_for_a_whole_store() {
        let mut recent = Recent::new(LIFE, 1000);
        for turn in 0..1000 {
            insert(&mut recent, &turn.to_string(), turn, 0);
        }
        assert_eq!(insert(&mut recent, "late", 0, 60).len(), RELEASED_MAX);
        assert_eq!(recent.entries.len(), 997);
    }

    #[test]
    fn a_life_is_only_lengthened() {
        let mut recent = Recent::new(LIFE, 10);
        recent.live_at_least(LIFE * 2);
        recent.live_at_least(LIFE);
        insert(&mut recent, "a", 1, 0);
        assert_eq!(insert(&mut recent, "b", 2, 19), []);
        assert_eq!(insert(&mut recent, "c", 3, 20), [(1, Gone::Over)]);
    }
}
