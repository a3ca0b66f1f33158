//! Requests that were refused before they reached the proxy are counted and logged like any other.

use crate::{
    listener::{Hooks, Refused},
    telemetry::{
        access_log::{AccessLog, Entry},
        metrics::Metrics,
    },
};
use filters::api::Clock;
use std::{sync::Arc, time::Duration};

/// What the guard tells the rest of the gateway.
pub(super) struct Door {
    pub(super) metrics: Arc<Metrics>,
    pub(super) access_log: Arc<AccessLog>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Hooks for Door {
    fn request_id(&self) -> String {
        filters::request_id::fresh(self.clock.unix_ms()).to_str().unwrap_or_default().to_owned()
    }

    fn refused(&self, refused: &Refused<'_>) {
        let (status, reason) = (refused.refusal.status, refused.refusal.refusal.reason);
        self.metrics.unrouted.finished(status, Duration::ZERO);
        self.metrics.unrouted.refused(reason);
        self.access_log.write(&Entry {
            event: "access",
            time_ms: self.clock.unix_ms(),
            request_id: refused.request_id,
            listener: refused.listener,
            route: "-",
            client_ip: refused.peer.ip().to_canonical(),
            method: "-",
            path: "-",
            protocol: "HTTP/1.1",
            status,
            reason: Some(reason.as_str()),
            stopped_by: None,
            message_type: None,
            trace_id: None,
            bytes_in: 0,
            bytes_out: 0,
            chain_us: 0,
            backend_us: 0,
            total_us: 0,
        });
    }
}
