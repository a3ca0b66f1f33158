//! Who publishes.

use super::{
    Hub,
    seal::{Audience, Entry, OWN},
    stream::{EndReason, Offered, Revocation, Stream},
};
use proto::push::v1::{ClientEvent, SessionInvalidation};
use serde::Serialize;
use std::sync::{Arc, atomic::Ordering::Relaxed};
use tokio::time::Instant;

const GAP: &str = "gateway.gap";

/// What was pushed cannot be handed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PushFault {
    /// An event without a position could not be resumed from.
    #[error("an event without a cursor")]
    NoCursor,
    /// An event without a kind means nothing to a device.
    #[error("an event without a kind")]
    NoKind,
    /// Only the gateway speaks as the gateway.
    #[error("an event whose kind begins with `gateway.`")]
    ReservedKind,
    /// Whose session was ended is not said.
    #[error("an invalidation without an id")]
    NobodyNamed,
}

/// Publishes on one hub. There is one for each, so that there is one order of events.
pub struct Publisher {
    hub: Arc<Hub>,
    /// Empty between two events; kept for its room.
    matching: Vec<Arc<Stream>>,
}

impl Publisher {
    pub(super) fn new(hub: Arc<Hub>) -> Self {
        Self { hub, matching: Vec::new() }
    }

    /// The hub.
    #[must_use]
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// What comes next comes after this cursor: devices that have seen all up to it, elsewhere, miss nothing.
    pub fn go_on_after(&mut self, cursor: &str) {
        self.hub.state().history.restart(cursor.into());
    }

    /// Hands an event to every stream that it is for. The cost is one signature, where there is such a stream, and
    /// a queue's place for each.
    ///
    /// # Errors
    /// Where it is no event for devices. Nothing is handed on then.
    pub fn event(&mut self, pushed: ClientEvent, cursor: &str) -> Result<(), PushFault> {
        match pushed.kind.as_str() {
            _ if cursor.is_empty() => return Err(PushFault::NoCursor),
            "" => return Err(PushFault::NoKind),
            kind if kind.starts_with(OWN) => return Err(PushFault::ReservedKind),
            _ => {}
        }
        let handling = self.hub.kinds.handling(&pushed.kind, &pushed.payload);
        let entry = Arc::new(Entry::of_client(pushed, cursor, self.hub.clock.unix_ms(), handling));
        {
            let mut state = self.hub.state();
            state.history.push(cursor.into(), Some(Arc::clone(&entry)), Instant::now());
            state.registry.matching(entry.audience(), &mut self.matching);
        }
        self.hub.counters.events.fetch_add(1, Relaxed);
        self.queue(&entry);
        Ok(())
    }

    /// Ends every stream of the session, or, where it names none, of the user. How many there were is returned; the
    /// hub's observer is told when the last of them is gone.
    ///
    /// # Errors
    /// Where it names neither. The cursor counts all the same.
    pub fn invalidate(&mut self, invalidation: &SessionInvalidation, cursor: &str) -> Result<usize, PushFault> {
        let since = Instant::now();
        let audience = match (invalidation.device_session_id.as_str(), invalidation.user_id.as_str()) {
            ("", "") => None,
            ("", user_id) => Some(Audience::User(user_id)),
            (session_id, _) => Some(Audience::Session { session_id, user_id: None }),
        };
        {
            let mut state = self.hub.state();
            if !cursor.is_empty() {
                state.history.push(cursor.into(), None, since);
            }
            if let Some(audience) = audience {
                state.registry.matching(audience, &mut self.matching);
            }
        }
        audience.ok_or(PushFault::NobodyNamed)?;
        let streams = self.matching.len();
        if streams > 0 {
            let observer = Arc::clone(&self.hub.observer);
            let revocation = Arc::new(Revocation { streams, since, observer });
            let ended =
                self.matching.drain(..).filter(|stream| stream.end(EndReason::SessionRevoked, Some(&revocation)));
            let ended = ended.count() as u64;
            self.hub.counters.revoked.fetch_add(ended, Relaxed);
        }
        Ok(streams)
    }

    /// Something ahead of this cursor was lost, or, without one, of what was not seen since the last: every stream
    /// is told, and nothing before is resumed from.
    pub fn lost(&mut self, cursor: Option<&str>) {
        #[derive(Serialize)]
        struct Payload<'a> {
            position: &'a str,
        }
        let position = cursor.map_or_else(|| self.hub.own_id(), str::to_owned);
        let event = self.hub.own_event(GAP, &position, &Payload { position: &position });
        let entry = Entry::for_everybody(event);
        {
            let mut state = self.hub.state();
            state.history.restart(position.into());
            state.registry.matching(Audience::Everybody, &mut self.matching);
        }
        self.queue(&entry);
    }

    fn queue(&mut self, entry: &Entry) {
        let hub = &self.hub;
        let (mut queued, mut coalesced, mut overflowed) = (0, 0, 0);
        for stream in self.matching.drain(..) {
            if !stream.event_types.wants(entry.event_type()) {
                continue;
            }
            let encoded = entry.sealed(&hub.sealer, &stream.user_id);
            match stream.offer(encoded, hub.limits.queue_events_max, hub.limits.queue_bytes_max) {
                Offered::Queued { has_replaced } => {
                    queued += 1;
                    coalesced += u64::from(has_replaced);
                }
                Offered::Overflowed => overflowed += 1,
                Offered::Ended => {}
            }
        }
        hub.counters.queued.fetch_add(queued, Relaxed);
        hub.counters.coalesced.fetch_add(coalesced, Relaxed);
        hub.counters.too_slow.fetch_add(overflowed, Relaxed);
    }
}
