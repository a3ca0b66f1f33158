//! Requests that were refused before they reached the proxy are counted and logged like any other.

use crate::{
    listener::{Hooks, Refused},
    plan::Plan,
    telemetry::{
        access_log::{AccessLog, Head, Outcome},
        metrics::Metrics,
    },
};
use arc_swap::ArcSwap;
use filters::api::Clock;
use std::{net::IpAddr, sync::Arc, time::Duration};

/// What the guard tells the rest of the gateway.
pub(super) struct Door {
    pub(super) plan: Arc<ArcSwap<Plan>>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) access_log: Arc<AccessLog>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Hooks for Door {
    fn request_id(&self) -> String {
        filters::request_id::fresh(self.clock.unix_ms()).to_str().unwrap_or_default().to_owned()
    }

    fn is_trusted(&self, listener: &str, peer: IpAddr) -> bool {
        let plan = self.plan.load();
        let listener = plan.listeners.iter().find(|known| known.name == listener);
        listener.is_some_and(|listener| listener.trusts(peer))
    }

    fn refused(&self, refused: &Refused<'_>) {
        let (status, reason) = (refused.refusal.status, refused.refusal.refusal.reason);
        self.metrics.unrouted.finished(status, Duration::ZERO);
        self.metrics.unrouted.refused(reason);
        if !self.access_log.is_on() {
            return;
        }
        let client_ip = refused.peer.ip().to_canonical();
        let mut line = self.access_log.begin();
        line.add(&Head::unread(self.clock.unix_ms(), refused.request_id, refused.listener, client_ip));
        line.add(&Outcome { status, reason: Some(reason.as_str()), ..Outcome::default() });
        self.access_log.write(line);
    }
}
