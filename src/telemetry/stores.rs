//! The metrics of shared stores, by their names in the configuration.

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

const DURATION_BUCKETS: [f64; 11] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25];

/// Those of all stores.
pub(super) struct Stores {
    calls: IntCounterVec,
    duration: HistogramVec,
    up: IntGaugeVec,
    breaker: IntGaugeVec,
    reconnects: IntCounterVec,
    in_flight: IntGaugeVec,
}

/// Those of one store.
#[derive(Clone)]
pub struct StoreMetrics {
    calls: IntCounterVec,
    name: String,
    /// How long calls took, those that failed too.
    pub duration: Histogram,
    /// 1 while it can be used.
    pub up: IntGauge,
    /// 0 closed, 1 half-open, 2 open.
    pub breaker: IntGauge,
    /// Links that were lost and looked for again.
    pub reconnects: IntCounter,
    in_flight: IntGauge,
}

/// A call that waits for its answer, until it is dropped.
pub struct InFlight(IntGauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Stores {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counters.clone())).map(|()| counters)
        };
        let gauges = |name: &str, help: &str| {
            let gauges = IntGaugeVec::new(Opts::new(name, help), &["store"])?;
            registry.register(Box::new(gauges.clone())).map(|()| gauges)
        };
        let options = HistogramOpts::new("portcullis_store_call_duration_seconds", "Calls of a shared store.");
        let duration = HistogramVec::new(options.buckets(DURATION_BUCKETS.to_vec()), &["store"])?;
        registry.register(Box::new(duration.clone()))?;
        Ok(Self {
            calls: counters("portcullis_store_calls_total", "Calls by store and outcome.", &["store", "outcome"])?,
            duration,
            up: gauges("portcullis_store_up", "Whether the store can be used.")?,
            breaker: gauges("portcullis_store_breaker", "The breaker: 0 closed, 1 half-open, 2 open.")?,
            reconnects: counters("portcullis_store_reconnects_total", "Links that were lost.", &["store"])?,
            in_flight: gauges("portcullis_store_calls_in_flight", "Calls that wait for an answer.")?,
        })
    }

    pub(super) fn store(&self, name: &str) -> StoreMetrics {
        StoreMetrics {
            calls: self.calls.clone(),
            name: name.to_owned(),
            duration: self.duration.with_label_values(&[name]),
            up: self.up.with_label_values(&[name]),
            breaker: self.breaker.with_label_values(&[name]),
            reconnects: self.reconnects.with_label_values(&[name]),
            in_flight: self.in_flight.with_label_values(&[name]),
        }
    }
}

impl StoreMetrics {
    /// Counts a call; `outcome` is one of a fixed set of words.
    pub fn called(&self, outcome: &'static str) {
        self.calls.with_label_values(&[self.name.as_str(), outcome]).inc();
    }

    /// How many calls had this outcome.
    #[must_use]
    pub fn calls(&self, outcome: &'static str) -> u64 {
        self.calls.with_label_values(&[self.name.as_str(), outcome]).get()
    }

    /// Counts a call as waiting while the value lives.
    #[must_use]
    pub fn in_flight(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }
}
