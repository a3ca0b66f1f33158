//! One lookup for all who ask for the same session at the same time.

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

type Found = Result<Option<Arc<SessionRecord>>, LookupFault>;

/// A lookup that those who ask at the same time share.
pub(super) struct SharedLookup {
    lookup: Arc<dyn SessionLookup>,
    flights: Arc<Flights>,
}

/// The lookups under way, by device_session_id. Only those who wait for a lookup hold it: with the last of
/// them gone it is dropped, so no abandoned lookup is ever joined.
#[derive(Default)]
struct Flights(Mutex<HashMap<String, Weak<Flight>>>);

/// Whoever waits drives it, so it does not depend on who came first.
struct Flight {
    found: Shared<BoxFuture<'static, Found>>,
}

impl SharedLookup {
    pub(super) fn new(lookup: Arc<dyn SessionLookup>) -> Self {
        Self { lookup, flights: Arc::default() }
    }

    /// What the lookup says of this session. Its deadline is that of the first who asked.
    pub(super) fn find(&self, device_session_id: &str) -> impl Future<Output = Found> + Send + use<> {
        let flight = self.join(device_session_id);
        async move {
            let flight = flight?;
            flight.found.clone().await
        }
    }

    fn join(&self, device_session_id: &str) -> Result<Arc<Flight>, LookupFault> {
        let mut flights = self.flights.lock();
        if let Some(flight) = flights.get(device_session_id).and_then(Weak::upgrade) {
            return Ok(flight);
        }
        if flights.len() >= FLIGHTS_MAX {
            return Err(LookupFault("too many lookups are under way".to_owned()));
        }
        let flight = Arc::new_cyclic(|flight| {
            let landing = Landing {
                flights: Arc::clone(&self.flights),
                device_session_id: device_session_id.to_owned(),
                flight: Weak::clone(flight),
            };
            Flight { found: fly(Arc::clone(&self.lookup), landing).boxed().shared() }
        });
        flights.insert(device_session_id.to_owned(), Arc::downgrade(&flight));
        Ok(flight)
    }
}

/// Asks the lookup. A panic in it is a fault for all who wait, not a panic in each of them.
async fn fly(lookup: Arc<dyn SessionLookup>, landing: Landing) -> Found {
    let finding = AssertUnwindSafe(async { lookup.find(&landing.device_session_id).await }).catch_unwind();
    let found = finding.await.unwrap_or_else(|_| Err(LookupFault("the lookup panicked".to_owned())));
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
        let mut flights = self.flights.lock();
        // A flight that was given up may have been followed by another of the same id already.
        if flights.get(&self.device_session_id).is_some_and(|listed| Weak::ptr_eq(listed, &self.flight)) {
            flights.remove(&self.device_session_id);
        }
    }
}

impl Flights {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Weak<Flight>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
