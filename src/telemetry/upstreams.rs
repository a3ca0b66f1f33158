//! Upstreams as metrics.

use crate::upstream::{FaultKind, Upstream};
use prometheus::{
    IntCounterVec, IntGaugeVec, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// The classes of statuses, in the order in which endpoints count them; the first is of requests without an answer.
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// The upstreams of the plan in force.
pub type Configured = Box<dyn Fn() -> Vec<Arc<Upstream>> + Send + Sync>;

/// Reads what endpoints count themselves when it is gathered, so that a request costs nothing more.
pub(super) struct Upstreams {
    configured: Configured,
    requests: IntCounterVec,
    faults: IntCounterVec,
    up: IntGaugeVec,
}

impl Upstreams {
    pub(super) fn new(configured: Configured) -> Result<Self, prometheus::Error> {
        let requests = Opts::new(
            "portcullis_upstream_requests_total",
            "Requests that endpoints were sent, by the class of the answer's status; `none` gave no answer.",
        );
        let faults = Opts::new(
            "portcullis_upstream_faults_total",
            "Connections to endpoints that could not be made, and requests that they gave no answer to, by what went wrong.",
        );
        let up = Opts::new(
            "portcullis_upstream_endpoint_up",
            "1 where the last connection to an endpoint could be made, or none was tried; else 0.",
        );
        Ok(Self {
            configured,
            requests: IntCounterVec::new(requests, &["upstream", "endpoint", "status"])?,
            faults: IntCounterVec::new(faults, &["upstream", "endpoint", "fault"])?,
            up: IntGaugeVec::new(up, &["upstream", "endpoint"])?,
        })
    }
}

impl Collector for Upstreams {
    fn desc(&self) -> Vec<&Desc> {
        [self.requests.desc(), self.faults.desc(), self.up.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // An upstream that was configured anew counts from zero, which is what a scraper takes for a restart.
        self.requests.reset();
        self.faults.reset();
        self.up.reset();
        let mut families = Vec::new();
        for upstream in (self.configured)() {
            for endpoint in upstream.endpoints() {
                let (name, authority, counts) = (upstream.name(), endpoint.authority(), endpoint.counts());
                let add = |to: &IntCounterVec, value: &str, count: &AtomicU64| {
                    to.with_label_values(&[name, authority, value]).inc_by(count.load(Relaxed));
                };
                for (class, count) in CLASSES.iter().zip(&counts.requests) {
                    add(&self.requests, class, count);
                }
                for (fault, count) in FaultKind::ALL.iter().zip(&counts.faults) {
                    add(&self.faults, fault.as_str(), count);
                }
                self.up.with_label_values(&[name, authority]).set(i64::from(endpoint.is_up()));
            }
            families.extend(upstream.connect_seconds().collect());
        }
        families.extend(self.requests.collect());
        families.extend(self.faults.collect());
        families.extend(self.up.collect());
        families
    }
}
