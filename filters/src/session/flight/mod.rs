//! One lookup for all who ask for the same session at the same time.

use super::invalidations::Moment;
use crate::api::{LookupFault, SessionLookup, SessionRecord};
use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

/// The most lookups that are under way at once. More are refused as a fault of the lookup: it cannot keep up,
/// and the requests that wait for it must not pile up without end.
const FLIGHTS_MAX: usize = 16_384;

/// What a lookup says of a session.
pub(super) type Found = Result<Option<Arc<SessionRecord>>, LookupFault>;

/// Told of every answer, once, before anybody who waits for it.
pub(super) trait Landed: Send + Sync {
    /// The lookup of `device_session_id` that began then has found this.
    fn landed(&self, device_session_id: &str, found: &Found, began: Moment);
}

/// A lookup that those who ask at the same time share.
pub(super) struct SharedLookup {
    lookup: Arc<dyn SessionLookup>,
    flights: Arc<Flights>,
    landed: Arc<dyn Landed>,
}

/// Only those who wait for a lookup hold it: with the last of them gone it is dropped, so no abandoned lookup
/// is ever joined.
#[derive(Default)]
struct Flights(Mutex<Board>);

#[derive(Default)]
struct Board {
    /// The lookups that may be joined, by device_session_id.
    listed: HashMap<String, Weak<Flight>>,
    /// All that are under way, those that may not be joined any more too.
    under_way: usize,
}

/// Whoever waits drives it, so it does not depend on who came first.
struct Flight {
    began: Moment,
    found: Shared<BoxFuture<'static, Found>>,
}

impl SharedLookup {
    pub(super) fn new(lookup: Arc<dyn SessionLookup>, landed: Arc<dyn Landed>) -> Self {
        Self { lookup, flights: Arc::default(), landed }
    }

    /// What the lookup says of this session, and when it was asked. Its deadline is that of the first who asked.
    /// What was asked before the last invalidation is not shared with who asks after it.
    pub(super) fn find(
        &self,
        device_session_id: &str,
        now: Moment,
    ) -> impl Future<Output = (Found, Moment)> + Send + use<> {
        let flight = self.join(device_session_id, now);
        async move {
            match flight {
                Ok(flight) => (flight.found.clone().await, flight.began),
                Err(fault) => (Err(fault), now),
            }
        }
    }

    fn join(&self, device_session_id: &str, now: Moment) -> Result<Arc<Flight>, LookupFault> {
        // Outlives the lock: the last to let go of a flight takes it off the board.
        let listed;
        let mut board = self.flights.lock();
        listed = board.listed.get(device_session_id).and_then(Weak::upgrade);
        if let Some(flight) = listed.as_ref().filter(|flight| flight.began.generation == now.generation) {
            return Ok(Arc::clone(flight));
        }
        if board.under_way >= FLIGHTS_MAX {
            return Err(LookupFault::new("busy", "too many lookups are under way"));
        }
        board.under_way += 1;
        let flight = Arc::new_cyclic(|flight| {
            let landing = Landing {
                flights: Arc::clone(&self.flights),
                device_session_id: device_session_id.to_owned(),
                flight: Weak::clone(flight),
            };
            let flying = fly(Arc::clone(&self.lookup), Arc::clone(&self.landed), landing, now);
            Flight { began: now, found: flying.boxed().shared() }
        });
        board.listed.insert(device_session_id.to_owned(), Arc::downgrade(&flight));
        Ok(flight)
    }
}

/// Asks the lookup. A panic in it is a fault for all who wait, not a panic in each of them.
async fn fly(lookup: Arc<dyn SessionLookup>, landed: Arc<dyn Landed>, landing: Landing, began: Moment) -> Found {
    let finding = AssertUnwindSafe(async { lookup.find(&landing.device_session_id).await }).catch_unwind();
    let found = finding.await.unwrap_or_else(|_| Err(LookupFault::new("panic", "the lookup panicked")));
    // Ahead of leaving the board: who comes in between finds the flight, or what is cached of it.
    landed.landed(&landing.device_session_id, &found, began);
    drop(landing);
    found
}

/// Takes a flight off the list when it has its answer, and when it is given up. Those who come later must ask
/// anew: the session may have been revoked since.
struct Landing {
    flights: Arc<Flights>,
    device_session_id: String,
    flight: Weak<Flight>,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut board = self.flights.lock();
        board.under_way -= 1;
        // A flight that was given up may have been followed by another of the same id already.
        if board.listed.get(&self.device_session_id).is_some_and(|listed| Weak::ptr_eq(listed, &self.flight)) {
            board.listed.remove(&self.device_session_id);
        }
    }
}

impl Flights {
    fn lock(&self) -> MutexGuard<'_, Board> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
