//! Where a request was sent, for whoever logs it.

use super::{Endpoint, FaultKind};
use std::sync::Arc;

/// The way of one request through the endpoints of its upstream.
#[derive(Default)]
pub struct Track {
    /// The endpoint that it was sent to last.
    pub endpoint: Option<Arc<Endpoint>>,
    /// How often it was tried to send it.
    pub tries: u8,
    /// Why there is no answer, where the last try gave none.
    pub fault: Option<FaultKind>,
}

impl Track {
    /// It is sent to this one next.
    pub fn goes_to(&mut self, endpoint: &Arc<Endpoint>) {
        self.tries = self.tries.saturating_add(1);
        if !self.endpoint.as_ref().is_some_and(|last| Arc::ptr_eq(last, endpoint)) {
            self.endpoint = Some(Arc::clone(endpoint));
        }
    }
}
