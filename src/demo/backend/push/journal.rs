//! What was pushed lately, by cursor, and who is being told.

use super::super::bounded::Bounded;
use proto::push::v1::{PushEvent, push_event::Kind};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{oneshot, watch};

/// As many gateways as a demo could have, and those that never come back.
const GATEWAYS_MAX: usize = 64;

/// The last events, each with a number that goes up by one, in this life of the backend alone.
pub(in super::super) struct Journal {
    /// What every cursor begins with: one of another life leads nowhere.
    life: String,
    events_max: usize,
    kept: Mutex<Kept>,
    /// The number of the newest event, for those that wait for the next.
    newest: watch::Sender<u64>,
}

struct Kept {
    events: VecDeque<PushEvent>,
    /// The number of the first that is held; the very first event has number 1.
    first: u64,
    /// By `gateway_client_id`, what ends its stream when it is dropped.
    streams: Bounded<oneshot::Sender<()>>,
}

impl Journal {
    /// An empty one that holds so many events.
    pub(in super::super) fn new(life: String, events_max: usize) -> Arc<Self> {
        let kept = Kept { events: VecDeque::new(), first: 1, streams: Bounded::new(GATEWAYS_MAX) };
        Arc::new(Self { life, events_max, kept: Mutex::new(kept), newest: watch::Sender::new(0) })
    }

    /// Adds what has happened, under a cursor of its own.
    pub(in super::super) fn push(&self, kind: Kind) {
        let mut kept = self.kept();
        let number = kept.end();
        kept.events.push_back(PushEvent { kind: Some(kind), cursor: self.cursor(number) });
        if kept.events.len() > self.events_max {
            kept.events.pop_front();
            kept.first += 1;
        }
        self.newest.send_replace(number);
    }

    /// Opens the stream of a gateway after the cursor that it has seen, and ends the one that it had.
    pub(super) fn open(self: &Arc<Self>, gateway_client_id: String, cursor: &str) -> Reader {
        let newest = self.newest.subscribe();
        let (end_it, ended) = oneshot::channel();
        let mut kept = self.kept();
        kept.streams.insert(gateway_client_id, end_it);
        let number: Option<u64> = cursor.strip_prefix(&self.life).and_then(|rest| rest.strip_prefix('-')?.parse().ok());
        let next = match number {
            _ if cursor.is_empty() => kept.end(),
            Some(number) if number < kept.end() => number + 1,
            // Ahead of everything that is held: what came in between is lost.
            _ => 0,
        };
        drop(kept);
        Reader { journal: Arc::clone(self), next, newest, ended }
    }

    /// The event of this number, which goes up. Where it is no longer held, one without a kind stands for it and for
    /// all until now.
    fn read(&self, next: &mut u64) -> Option<PushEvent> {
        let kept = self.kept();
        let Some(place) = next.checked_sub(kept.first) else {
            *next = kept.end();
            return Some(PushEvent { kind: None, cursor: self.cursor(kept.end() - 1) });
        };
        let event = kept.events.get(usize::try_from(place).ok()?)?;
        *next += 1;
        Some(event.clone())
    }

    fn cursor(&self, number: u64) -> String {
        format!("{}-{number}", self.life)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// The number that the next event gets.
    fn end(&self) -> u64 {
        self.first + self.events.len() as u64
    }
}

/// One gateway's way through the journal. It holds no events: one that falls behind has a gap.
pub(super) struct Reader {
    journal: Arc<Journal>,
    next: u64,
    newest: watch::Receiver<u64>,
    ended: oneshot::Receiver<()>,
}

impl Reader {
    /// The next event, once there is one; `None` when another stream has taken this one's place.
    pub(super) async fn next(&mut self) -> Option<PushEvent> {
        loop {
            // First: one that always has an event ready would never be ended.
            if self.ended.try_recv() != Err(oneshot::error::TryRecvError::Empty) {
                return None;
            }
            if let Some(event) = self.journal.read(&mut self.next) {
                return Some(event);
            }
            tokio::select! {
                _ = &mut self.ended => return None,
                changed = self.newest.changed() => changed.ok()?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use proto::push::v1::ClientEvent;

    fn journal(events: u64) -> Arc<Journal> {
        let journal = Journal::new("life".to_owned(), 3);
        for number in 1..=events {
            happen(&journal, number);
        }
        journal
    }

    fn happen(journal: &Journal, number: u64) {
        journal.push(Kind::ClientEvent(ClientEvent { event_id: number.to_string(), ..ClientEvent::default() }));
    }

    /// The cursors of what a reader has ready, a gap's in brackets.
    fn ready(reader: &mut Reader) -> Vec<String> {
        let next = || reader.next().now_or_never().flatten();
        let shown = |event: PushEvent| if event.kind.is_some() { event.cursor } else { format!("({})", event.cursor) };
        std::iter::from_fn(next).map(shown).collect()
    }

    #[test]
    fn a_gateway_goes_on_from_its_cursor_or_is_told_of_the_gap() {
        fn check(cursor: &str, expected: &[&str]) {
            assert_eq!(ready(&mut journal(5).open("gw".to_owned(), cursor)), expected, "{cursor}");
        }
        check("", &[]);
        check("life-5", &[]);
        check("life-4", &["life-5"]);
        check("life-2", &["life-3", "life-4", "life-5"]);
        check("life-1", &["(life-5)"]);
        check("life-6", &["(life-5)"]);
        check("life-x", &["(life-5)"]);
        check("life-18446744073709551615", &["(life-5)"]);
        check("other-4", &["(life-5)"]);
        assert_eq!(ready(&mut journal(0).open("gw".to_owned(), "other-4")), ["(life-0)"]);
        assert_eq!(ready(&mut journal(2).open("gw".to_owned(), "life-0")), ["life-1", "life-2"]);
    }

    #[tokio::test]
    async fn a_reader_waits_for_what_comes_and_one_that_falls_behind_has_a_gap() {
        let journal = journal(1);
        let mut reader = journal.open("gw".to_owned(), "");
        let (came, ()) = tokio::join!(reader.next(), async { happen(&journal, 2) });
        assert_eq!(came.unwrap().cursor, "life-2");
        for number in 3..=6 {
            happen(&journal, number);
        }
        assert_eq!(ready(&mut reader), ["(life-6)"]);
        happen(&journal, 7);
        assert_eq!(ready(&mut reader), ["life-7"]);
    }

    #[tokio::test]
    async fn a_gateways_second_stream_ends_its_first_and_no_others() {
        let journal = journal(1);
        let mut streams = ["gw-1", "gw-2", "gw-1"].map(|id| journal.open(id.to_owned(), "life-0"));
        assert_eq!(streams.each_mut().map(|stream| ready(stream).len()), [0, 1, 1]);
        let [first, ..] = &mut streams;
        assert_eq!(first.next().await, None);
    }
}
