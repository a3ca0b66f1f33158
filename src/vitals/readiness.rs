//! Whether requests should be sent here.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

/// Of a gateway that stops.
pub(crate) const DRAINING: &str = "draining";

/// The reasons for which this instance is not ready; ready where there is none.
#[derive(Debug, Default)]
pub struct Readiness(Mutex<BTreeSet<&'static str>>);

impl Readiness {
    /// Not ready, for this reason.
    pub fn block(&self, reason: &'static str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(reason);
    }

    /// Whether the gateway stops.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(DRAINING)
    }

    /// Every reason, in alphabetical order.
    #[must_use]
    pub fn reasons(&self) -> Vec<&'static str> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }
}
