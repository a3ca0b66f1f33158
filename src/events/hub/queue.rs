//! What waits for one stream.

use super::{kinds::Pace, seal::Encoded};
use std::{collections::VecDeque, num::NonZeroU64, sync::Arc};
use tokio::time::Instant;

/// An empty queue with more places than this is given back: a stream that was busy once is idle again.
const PLACES_KEPT: usize = 8;

/// What waits for one stream, in its order.
///
/// An event whose kind went out a moment ago is held until its interval is over. The order is never changed for
/// that: an event that is not held takes those ahead of it along, so that nothing is late, and every position that a
/// device has seen says that it has seen all before it.
#[derive(Default)]
pub(super) struct Queue {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    /// So many from the front are not held.
    free: usize,
    /// Of streams alone that have had an event of a paced kind: an idle one is small.
    pacing: Option<Box<Pacing>>,
}

#[derive(Default)]
struct Pacing {
    /// When the next of each kind may go.
    due: Vec<(usize, Instant)>,
    /// What the consumer was told to wait for.
    told: Option<Instant>,
}

struct Waiting {
    /// Beside the event and not behind it: looking for one is then a walk over neighbours.
    slot: Option<NonZeroU64>,
    encoded: Arc<Encoded>,
}

/// What became of an event that was to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pushed {
    pub(super) has_replaced: bool,
    /// Whether the consumer has something to do that it does not know of.
    pub(super) is_news: bool,
}

/// What may go.
pub(super) enum Popped {
    Event(Arc<Encoded>),
    /// Everything is held until then.
    Held(Instant),
    Nothing,
}

impl Queue {
    /// Has an event wait. None, and nothing has changed but what it would have replaced, where there is no room.
    pub(super) fn push(&mut self, encoded: &Arc<Encoded>, events_max: usize, bytes_max: usize) -> Option<Pushed> {
        let handling = encoded.handling;
        let has_replaced = handling.slot.is_some_and(|slot| self.remove(slot));
        let bytes = self.bytes + encoded.memory();
        // The empty queue takes any event: one that is larger than the queue would otherwise end the stream again
        // after every resume.
        if !self.waiting.is_empty() && (self.waiting.len() >= events_max || bytes > bytes_max) {
            return None;
        }
        self.bytes = bytes;
        self.waiting.push_back(Waiting { slot: handling.slot, encoded: Arc::clone(encoded) });
        let held = handling.pace.and_then(|pace| self.held(pace, Instant::now()));
        let is_news = match held {
            None => {
                self.free = self.waiting.len();
                true
            }
            Some(until) => self.pacing.as_ref().and_then(|pacing| pacing.told).is_none_or(|told| until < told),
        };
        Some(Pushed { has_replaced, is_news })
    }

    /// Takes the first that may go.
    pub(super) fn pop(&mut self) -> Popped {
        if self.free == 0
            && let Some(until) = self.let_go(Instant::now())
        {
            self.tell(Some(until));
            return Popped::Held(until);
        }
        let Some(Waiting { encoded, .. }) = self.waiting.pop_front() else { return Popped::Nothing };
        self.tell(None);
        self.free -= 1;
        self.bytes -= encoded.memory();
        if let Some(pace) = encoded.handling.pace {
            self.pacing.get_or_insert_default().went(pace);
        }
        if self.waiting.is_empty() && self.waiting.capacity() > PLACES_KEPT {
            self.waiting = VecDeque::new();
        }
        Popped::Event(encoded)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Holds nothing any more.
    pub(super) fn release(&mut self) {
        self.free = self.waiting.len();
    }

    /// Frees what is held no longer, and what is ahead of it. Until when all is held, where nothing is freed.
    fn let_go(&mut self, now: Instant) -> Option<Instant> {
        let held = |waiting: &Waiting| waiting.encoded.handling.pace.and_then(|pace| self.held(pace, now));
        let free = self.waiting.iter().rposition(|waiting| held(waiting).is_none()).map_or(0, |last| last + 1);
        let until = self.waiting.iter().filter_map(held).min();
        self.free = free;
        until.filter(|_| free == 0)
    }

    fn remove(&mut self, slot: NonZeroU64) -> bool {
        let Some(at) = self.waiting.iter().position(|waiting| waiting.slot == Some(slot)) else { return false };
        if let Some(removed) = self.waiting.remove(at) {
            self.bytes -= removed.encoded.memory();
        }
        if at < self.free {
            self.free -= 1;
        }
        true
    }

    fn held(&self, pace: Pace, now: Instant) -> Option<Instant> {
        let due = &self.pacing.as_ref()?.due;
        due.iter().find(|(kind, due)| *kind == pace.kind && *due > now).map(|(_, due)| *due)
    }

    fn tell(&mut self, until: Option<Instant>) {
        if let Some(pacing) = &mut self.pacing {
            pacing.told = until;
        }
    }
}

impl Pacing {
    fn went(&mut self, pace: Pace) {
        let due = Instant::now() + pace.interval;
        match self.due.iter_mut().find(|(kind, _)| *kind == pace.kind) {
            Some((_, known)) => *known = due,
            None => self.due.push((pace.kind, due)),
        }
    }
}
