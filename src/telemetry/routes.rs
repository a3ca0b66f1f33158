//! The metrics of routes, by their names in the configuration.

use filters::api::Reason;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};
use std::time::Duration;

const STATUS_CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
const DURATION_BUCKETS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// Of all routes.
pub(super) struct Routes {
    requests: IntCounterVec,
    refusals: IntCounterVec,
    faults_passed: IntCounterVec,
    duration: HistogramVec,
    in_flight: IntGaugeVec,
    streams: IntGaugeVec,
}

/// The counters of one route, looked up once.
#[derive(Clone)]
pub struct RouteMetrics {
    by_status_class: [IntCounter; 5],
    refusals: IntCounterVec,
    faults_passed: IntCounterVec,
    duration: Histogram,
    route: String,
    /// Requests that it serves now, those of its streams among them.
    pub in_flight: IntGauge,
    /// Streams that hang on it now.
    pub streams: IntGauge,
}

impl Routes {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counters.clone())).map(|()| counters)
        };
        let gauges = |name: &str, help: &str| {
            let gauges = IntGaugeVec::new(Opts::new(name, help), &["route"])?;
            registry.register(Box::new(gauges.clone())).map(|()| gauges)
        };
        let options =
            HistogramOpts::new("portcullis_request_duration_seconds", "From the head's end to the answer's end.");
        let duration = HistogramVec::new(options.buckets(DURATION_BUCKETS.to_vec()), &["route"])?;
        registry.register(Box::new(duration.clone()))?;
        Ok(Self {
            requests: counters(
                "portcullis_requests_total",
                "Requests by route and class of status.",
                &["route", "status"],
            )?,
            refusals: counters(
                "portcullis_refusals_total",
                "Requests refused, by route and reason.",
                &["route", "reason"],
            )?,
            faults_passed: counters(
                "portcullis_filter_faults_passed_total",
                "Requests that a filter could not decide on and let pass.",
                &["route", "filter"],
            )?,
            duration,
            in_flight: gauges("portcullis_route_requests_in_flight", "Requests that a route serves, streams too.")?,
            streams: gauges("portcullis_route_streams", "Long-lived streams that hang on a route.")?,
        })
    }

    pub(super) fn of(&self, route: &str) -> RouteMetrics {
        RouteMetrics {
            by_status_class: STATUS_CLASSES.map(|class| self.requests.with_label_values(&[route, class])),
            refusals: self.refusals.clone(),
            faults_passed: self.faults_passed.clone(),
            duration: self.duration.with_label_values(&[route]),
            in_flight: self.in_flight.with_label_values(&[route]),
            streams: self.streams.with_label_values(&[route]),
            route: route.to_owned(),
        }
    }
}

impl RouteMetrics {
    /// Counts a finished request.
    pub fn finished(&self, status: u16, took: Duration) {
        let class = usize::from(status / 100).saturating_sub(1);
        if let Some(counter) = self.by_status_class.get(class) {
            counter.inc();
        }
        self.duration.observe(took.as_secs_f64());
    }

    /// Counts a finished request with all that became of it.
    pub fn ended(&self, status: u16, took: Duration, refused: Option<Reason>, faults_passed: &[&'static str]) {
        self.finished(status, took);
        if let Some(reason) = refused {
            self.refused(reason);
        }
        for filter in faults_passed {
            self.fault_passed(filter);
        }
    }

    /// Counts a refusal.
    pub fn refused(&self, reason: Reason) {
        self.refusals.with_label_values(&[self.route.as_str(), reason.as_str()]).inc();
    }

    /// Counts a filter that could not decide and let the request pass.
    pub fn fault_passed(&self, filter: &'static str) {
        self.faults_passed.with_label_values(&[self.route.as_str(), filter]).inc();
    }
}
