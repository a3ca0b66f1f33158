//! What was pushed lately, for streams that resume.

use super::seal::Entry;
use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// What an item costs beside its entry: its place, its position twice, and the way from position to place.
const OVERHEAD: usize = 128;

/// The last of what was pushed, without a hole: from the position `base` to the newest one.
pub(super) struct History {
    events_max: usize,
    bytes_max: usize,
    kept_for: Duration,
    items: VecDeque<Item>,
    bytes: usize,
    /// The number of the first item. Numbers go up by one with each item, and are never used again.
    first: u64,
    /// The position ahead of the first item.
    base: Arc<str>,
    /// By position, the number of the item after it.
    after: HashMap<Arc<str>, u64>,
}

struct Item {
    position: Arc<str>,
    /// Nothing at the position of an invalidation.
    entry: Option<Arc<Entry>>,
    at: Instant,
    bytes: usize,
}

impl History {
    /// Empty, from this position on.
    pub(super) fn new(events_max: usize, bytes_max: usize, kept_for: Duration, base: Arc<str>) -> Self {
        let after = HashMap::from([(Arc::clone(&base), 0)]);
        Self { events_max, bytes_max, kept_for, items: VecDeque::new(), bytes: 0, first: 0, base, after }
    }

    /// Adds the newest item. The oldest go where there are too many, too large or too old ones.
    pub(super) fn push(&mut self, position: Arc<str>, entry: Option<Arc<Entry>>, now: Instant) {
        let bytes = entry.as_ref().map_or(0, |entry| entry.bytes()) + 2 * position.len() + OVERHEAD;
        self.bytes += bytes;
        self.items.push_back(Item { position: Arc::clone(&position), entry, at: now, bytes });
        self.after.insert(position, self.end());
        while self.items.len() > self.events_max || self.bytes > self.bytes_max {
            self.forget_first();
        }
        self.forget_old(now);
    }

    /// Forgets what is too old.
    pub(super) fn forget_old(&mut self, now: Instant) {
        let kept_for = self.kept_for;
        let is_old = |item: &Item| now.saturating_duration_since(item.at) > kept_for;
        while self.items.front().is_some_and(is_old) {
            self.forget_first();
        }
    }

    /// Something was lost ahead of this position: nothing before it can be resumed from.
    pub(super) fn restart(&mut self, position: Arc<str>) {
        self.first = self.end();
        self.items.clear();
        self.bytes = 0;
        self.after.clear();
        self.after.insert(Arc::clone(&position), self.first);
        self.base = position;
    }

    /// Holds what another one holds, as far as its own limits go.
    pub(super) fn take_over(&mut self, other: &Self) {
        self.restart(Arc::clone(&other.base));
        for Item { position, entry, at, .. } in &other.items {
            self.push(Arc::clone(position), entry.clone(), *at);
        }
    }

    /// The number of what comes after this position, where all of it is still held.
    pub(super) fn after(&self, position: &str) -> Option<u64> {
        self.after.get(position).copied()
    }

    /// The number that the next item gets.
    pub(super) fn end(&self) -> u64 {
        self.first + self.items.len() as u64
    }

    /// The newest position.
    pub(super) fn newest(&self) -> &Arc<str> {
        self.items.back().map_or(&self.base, |item| &item.position)
    }

    /// The events from the number `from` up to, not with, `end`. None where the first of them are gone.
    pub(super) fn read(&self, from: u64, end: u64) -> Option<impl Iterator<Item = &Arc<Entry>>> {
        let skipped = usize::try_from(from.checked_sub(self.first)?).ok()?;
        let count = usize::try_from(end.saturating_sub(from)).ok()?;
        Some(self.items.iter().skip(skipped).take(count).filter_map(|item| item.entry.as_ref()))
    }

    fn forget_first(&mut self) {
        let Some(item) = self.items.pop_front() else { return };
        self.bytes -= item.bytes;
        // A position that came twice leads to what came after the later one.
        if self.after.get(&self.base) == Some(&self.first) {
            self.after.remove(&self.base);
        }
        self.first += 1;
        self.base = item.position;
    }
}

/// Of events with the same slot the last alone stays.
pub(super) fn keep_latest(entries: &mut Vec<Arc<Entry>>) {
    if entries.iter().all(|entry| entry.handling.slot.is_none()) {
        return;
    }
    let mut seen = HashSet::new();
    entries.reverse();
    entries.retain(|entry| entry.handling.slot.is_none_or(|slot| seen.insert(slot)));
    entries.reverse();
}

#[cfg(test)]
mod tests {
    use super::{super::kinds::Handling, *};
    use proto::push::v1::ClientEvent;

    const SECOND: Duration = Duration::from_secs(1);

    fn entry(event_id: &str) -> Arc<Entry> {
        Arc::new(Entry::of_client(
            ClientEvent { event_id: event_id.to_owned(), ..ClientEvent::default() },
            "",
            1,
            Handling::default(),
        ))
    }

    fn history(events_max: usize, bytes_max: usize) -> History {
        History::new(events_max, bytes_max, SECOND * 10, "base".into())
    }

    fn held(history: &History, position: &str) -> Option<usize> {
        Some(history.read(history.after(position)?, history.end())?.count())
    }

    #[test]
    fn each_position_that_is_held_leads_to_what_came_after_it() {
        let (mut history, now) = (history(3, 1 << 20), Instant::now());
        assert_eq!((held(&history, "base"), history.newest().as_ref()), (Some(0), "base"));
        for (position, is_event) in [("a", true), ("b", false), ("c", true)] {
            history.push(position.into(), is_event.then(|| entry(position)), now);
        }
        let positions = ["base", "a", "b", "c", "d"];
        assert_eq!(positions.map(|position| held(&history, position)), [Some(2), Some(1), Some(1), Some(0), None]);
        history.push("d".into(), Some(entry("d")), now);
        assert_eq!(positions.map(|position| held(&history, position)), [None, Some(2), Some(2), Some(1), Some(0)]);
        assert_eq!(history.newest().as_ref(), "d");
    }

    #[test]
    fn it_is_bounded_by_events_bytes_and_age() {
        let now = Instant::now();
        let mut none = history(0, 1 << 20);
        none.push("a".into(), Some(entry("a")), now);
        assert_eq!((held(&none, "base"), held(&none, "a"), none.after.len()), (None, Some(0), 1));

        let one = entry("a").bytes() + OVERHEAD + 2;
        let mut two = history(100, one * 2);
        for position in ["a", "b", "c"] {
            two.push(position.into(), Some(entry(position)), now);
        }
        assert_eq!((held(&two, "base"), held(&two, "a"), two.bytes), (None, Some(2), one * 2));

        let mut aged = history(100, 1 << 20);
        aged.push("a".into(), Some(entry("a")), now);
        aged.push("b".into(), Some(entry("b")), now + SECOND);
        aged.forget_old(now + SECOND * 11);
        assert_eq!((held(&aged, "base"), held(&aged, "a")), (None, Some(1)));
        assert_eq!((aged.items.len(), aged.after.len()), (1, 2));
    }

    #[test]
    fn what_is_read_is_whole_or_nothing() {
        let (mut history, now) = (history(2, 1 << 20), Instant::now());
        history.push("a".into(), Some(entry("a")), now);
        let from = history.after("base").unwrap();
        history.push("b".into(), Some(entry("b")), now);
        assert_eq!(history.read(from, history.end()).unwrap().count(), 2);
        history.push("c".into(), Some(entry("c")), now);
        assert!(history.read(from, history.end()).is_none());
    }

    #[test]
    fn a_gap_leaves_nothing_to_resume_from_before_it() {
        let (mut history, now) = (history(10, 1 << 20), Instant::now());
        history.push("a".into(), Some(entry("a")), now);
        let from = history.after("base").unwrap();
        history.restart("gap".into());
        assert_eq!(["base", "a", "gap"].map(|position| held(&history, position)), [None, None, Some(0)]);
        assert!(history.read(from, history.end()).is_none());
        history.push("b".into(), Some(entry("b")), now);
        assert_eq!((held(&history, "gap"), history.bytes), (Some(1), entry("b").bytes() + OVERHEAD + 2));
    }

    #[test]
    fn a_position_that_comes_twice_leads_to_the_later_one() {
        let (mut history, now) = (history(2, 1 << 20), Instant::now());
        for position in ["a", "b", "a", "c"] {
            history.push(position.into(), Some(entry(position)), now);
        }
        assert_eq!((held(&history, "b"), held(&history, "a"), held(&history, "c")), (Some(2), Some(1), Some(0)));
    }
}
