//! What fans out: one event in, every stream that it is for out.
//!
//! The one [`Publisher`] adds an event to the history and looks up its streams under one lock, then signs it and
//! queues it outside of it. A subscriber registers under the same lock, so each event is either in the history that
//! it reads or in its queue: no hole, no duplicate, and one order for all. Nothing here waits for a consumer, and no
//! stream has a task or a timer of its own.

mod counts;
mod event_types;
mod history;
mod kinds;
mod publisher;
mod queue;
mod registry;
mod seal;
mod stream;
mod subscriber;
mod timing;

pub use counts::{HubCounts, Observer};
pub use event_types::{EventTypes, EventTypesFault};
pub use publisher::{Publisher, PushFault};
pub use registry::Full;
pub use seal::{Encoded, HEARTBEAT, SERVER_TIME};
pub use stream::EndReason;
pub use subscriber::{Delivery, Ending, Subscriber, Subscription};
pub use timing::spread;

use crate::plan::{
    events::{HubLimits, KindOptions},
    signer::Signer,
};
use counts::Counters;
use filters::api::{Clock, Reason};
use history::{History, keep_latest};
use kinds::{Handling, Kinds};
use proto::edge::v1::Event;
use registry::Registry;
use seal::{Entry, Sealer};
use serde::Serialize;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
};
use stream::Stream;
use subscriber::Ahead;
use tokio::time::Instant;

/// So much of the history is looked through under one lock: a few microseconds.
const READ_AT_ONCE: u64 = 256;

/// Why there is no stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SubscribeRefusal {
    /// There are too many already.
    #[error(transparent)]
    Full(#[from] Full),
    /// The gateway stops.
    #[error("the gateway is shutting down")]
    ShuttingDown,
}

impl SubscribeRefusal {
    /// The reason on the wire.
    #[must_use]
    pub const fn reason(self) -> Reason {
        match self {
            Self::Full(_) => Reason::StreamsExhausted,
            Self::ShuttingDown => Reason::GatewayShuttingDown,
        }
    }
}

/// The open streams of one source of events, and what was pushed lately.
pub struct Hub {
    limits: HubLimits,
    kinds: Kinds,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    sealer: Sealer,
    /// What the ids of the gateway's own events and positions begin with: this instance's alone.
    instance: String,
    own_ids: AtomicU64,
    /// Of the heartbeat's timer.
    tick: AtomicU32,
    counters: Counters,
    state: Mutex<State>,
}

struct State {
    registry: Registry,
    history: History,
    is_closing: bool,
}

impl Hub {
    /// A hub without streams, and the one who may publish on it.
    #[must_use]
    pub fn new(
        limits: HubLimits,
        kinds: &BTreeMap<String, KindOptions>,
        signer: Arc<Signer>,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn Observer>,
    ) -> (Arc<Self>, Publisher) {
        let instance = format!("gw-{:032x}", fastrand::u128(..));
        let HubLimits { history_events_max, history_bytes_max, history_for, streams, .. } = limits;
        let base = format!("{instance}-0").into();
        let history = History::new(history_events_max, history_bytes_max, history_for, base);
        let state = State { registry: Registry::new(streams), history, is_closing: false };
        let hub = Arc::new(Self {
            limits,
            kinds: Kinds::new(kinds),
            clock,
            observer,
            sealer: Sealer::new(signer),
            instance,
            own_ids: AtomicU64::new(1),
            tick: AtomicU32::new(0),
            counters: Counters::default(),
            state: Mutex::new(state),
        });
        let publisher = Publisher::new(Arc::clone(&hub));
        (hub, publisher)
    }

    /// Opens a stream.
    ///
    /// The session was looked up earlier, and may have been ended since, before this stream could be ended with the
    /// others of its session: hold it against [`filters::session::Invalidations`] once more after this returns.
    ///
    /// # Errors
    /// Where there are too many, or the gateway stops.
    pub fn subscribe(self: &Arc<Self>, asked: Subscription<'_>) -> Result<Subscriber, SubscribeRefusal> {
        let Subscription { session_id, user_id, client_ip, request_id, resume_after, event_types } = asked;
        let tick = self.tick.load(Relaxed);
        let stream = Arc::new(Stream::new(session_id, user_id, client_ip, event_types, tick));
        let (from, end, newest) = {
            let mut state = self.state();
            if state.is_closing {
                return Err(SubscribeRefusal::ShuttingDown);
            }
            state.registry.add(&stream)?;
            state.history.forget_old(Instant::now());
            let history = &state.history;
            (history.after(resume_after), history.end(), Arc::clone(history.newest()))
        };
        // From here on it is removed again when it is dropped.
        let mut subscriber = Subscriber::new(Arc::clone(self), Arc::clone(&stream));
        let mut ahead = VecDeque::new();
        let is_asked = !resume_after.is_empty();
        let held = is_asked.then(|| from.and_then(|from| self.missed(&stream, from, end))).flatten();
        let resumed = !is_asked || held.is_some();
        if !resumed {
            self.counters.not_resumed.fetch_add(1, Relaxed);
        }
        ahead.push_back(Ahead::Sealed(self.server_time(user_id, request_id, &newest, resumed)));
        ahead.extend(held.into_iter().flatten().map(Ahead::Held));
        subscriber.put_ahead(ahead);
        Ok(subscriber)
    }

    /// What of the history from the number `from` up to `end` is for this stream. None where a part of it is gone:
    /// the publisher may overtake.
    fn missed(&self, stream: &Stream, from: u64, end: u64) -> Option<Vec<Arc<Entry>>> {
        let mut missed = Vec::new();
        let mut from = from;
        while from < end {
            let to = end.min(from + READ_AT_ONCE);
            let state = self.state();
            for entry in state.history.read(from, to)? {
                if stream.event_types.wants(entry.event_type())
                    && entry.audience().has(&stream.session_id, &stream.user_id)
                {
                    missed.push(Arc::clone(entry));
                }
            }
            from = to;
        }
        let before = missed.len();
        keep_latest(&mut missed);
        self.counters.coalesced.fetch_add((before - missed.len()) as u64, Relaxed);
        Some(missed)
    }

    fn server_time(&self, user_id: &str, request_id: &str, position: &str, resumed: bool) -> Arc<Encoded> {
        /// In the order of the contract.
        #[derive(Serialize)]
        struct Payload<'a> {
            server_time_ms: i64,
            request_id: &'a str,
            resumed: bool,
        }
        let server_time_ms = self.clock.unix_ms();
        let mut event = self.own_event(SERVER_TIME, position, &Payload { server_time_ms, request_id, resumed });
        event.timestamp_ms = server_time_ms;
        user_id.clone_into(&mut event.subject);
        request_id.clone_into(&mut event.request_id);
        self.sealer.seal(event, Handling::default())
    }

    /// A draft of an event of the gateway's own.
    fn own_event(&self, event_type: &str, position: &str, payload: &impl Serialize) -> Event {
        Event {
            event_type: event_type.to_owned(),
            event_id: self.own_id(),
            timestamp_ms: self.clock.unix_ms(),
            position: position.to_owned(),
            // Texts and numbers only: nothing here can fail to be JSON.
            payload_bytes: serde_json::to_vec(payload).unwrap_or_default().into(),
            ..Event::default()
        }
    }

    /// An event_id, or a position, that no other instance has.
    fn own_id(&self) -> String {
        format!("{}-{}", self.instance, self.own_ids.fetch_add(1, Relaxed))
    }

    /// From here on events are signed with this key; those that were signed keep what they have.
    pub fn sign_with(&self, signer: Arc<Signer>) {
        self.sealer.sign_with(signer);
    }

    /// The newest position.
    #[must_use]
    pub fn position(&self) -> Arc<str> {
        Arc::clone(self.state().history.newest())
    }

    /// The newest position, where it is the backend's.
    #[must_use]
    pub fn cursor(&self) -> Option<Arc<str>> {
        Some(self.position()).filter(|position| !position.starts_with(&self.instance))
    }

    /// Whether a stream can be resumed from this position.
    #[must_use]
    pub fn holds(&self, position: &str) -> bool {
        self.state().history.after(position).is_some()
    }

    /// Holds what another hub of the same feed has pushed lately, and gives the position to go on from. None, and nothing is
    /// held, where nothing came from its backend.
    pub fn take_over(&self, other: &Self) -> Option<String> {
        let held = other.state();
        let newest = held.history.newest();
        if newest.starts_with(&other.instance) {
            return None;
        }
        self.state().history.take_over(&held.history);
        Some(newest.to_string())
    }

    /// What it has done so far.
    #[must_use]
    pub fn counts(&self) -> HubCounts {
        self.counters.read(self.state().registry.len(), self.sealer.sealed.load(Relaxed))
    }

    /// Nothing under this lock calls out, so nothing can panic half way through a change.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
