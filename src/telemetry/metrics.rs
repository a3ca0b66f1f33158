//! Metrics for Prometheus. Every label value is a name of the configuration or one of a fixed set, so
//! nothing from outside can make a series.

use super::events::Revocations;
use super::sessions::{SessionCounters, SessionMetrics};
use super::stores::{StoreMetrics, Stores};
use crate::{life::Outcome, listener::Caps};
use filters::api::Reason;
use prometheus::{
    Encoder as _, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    TextEncoder,
};
use std::{sync::Arc, time::Duration};

/// The process's metrics.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    refusals: IntCounterVec,
    faults_passed: IntCounterVec,
    duration: HistogramVec,
    stores: Stores,
    revocations: Revocations,
    sessions: SessionCounters,
    reloads: IntCounterVec,
    /// Requests that are being served.
    pub in_flight: IntGauge,
    /// Access lines that could not be written, or not fast enough.
    pub access_lines_dropped: IntCounter,
    /// Requests refused before they had a route: malformed heads and unknown paths.
    pub unrouted: RouteMetrics,
}

/// The counters of one route, looked up once.
#[derive(Clone)]
pub struct RouteMetrics {
    by_status_class: [IntCounter; 5],
    refusals: IntCounterVec,
    faults_passed: IntCounterVec,
    duration: Histogram,
    route: String,
}

const STATUS_CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
const DURATION_BUCKETS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

impl Metrics {
    /// A registry of its own: two gateways in one process count apart.
    ///
    /// # Errors
    /// Where two metrics have one name, which a test rules out.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counters.clone())).map(|()| counters)
        };
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone())).map(|()| counter)
        };
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone())).map(|()| gauge)
        };
        let requests =
            counters("portcullis_requests_total", "Requests by route and class of status.", &["route", "status"])?;
        let refusals =
            counters("portcullis_refusals_total", "Requests refused, by route and reason.", &["route", "reason"])?;
        let faults_passed = counters(
            "portcullis_filter_faults_passed_total",
            "Requests that a filter could not decide on and let pass.",
            &["route", "filter"],
        )?;
        let options =
            HistogramOpts::new("portcullis_request_duration_seconds", "From the head's end to the answer's end.");
        let duration = HistogramVec::new(options.buckets(DURATION_BUCKETS.to_vec()), &["route"])?;
        registry.register(Box::new(duration.clone()))?;
        let unrouted = RouteMetrics::new("-", &requests, &refusals, &faults_passed, &duration);
        Ok(Self {
            sessions: SessionCounters::new(&registry)?,
            in_flight: gauge("portcullis_requests_in_flight", "Requests that are being served.")?,
            access_lines_dropped: counter(
                "portcullis_access_lines_dropped_total",
                "Access lines that could not be written.",
            )?,
            reloads: counters(
                "portcullis_reloads_total",
                "Configurations that were read again, by what came of it.",
                &["outcome"],
            )?,
            stores: Stores::new(&registry)?,
            revocations: Revocations::new(&registry)?,
            registry,
            requests,
            refusals,
            faults_passed,
            duration,
            unrouted,
        })
    }

    /// Counts a reload.
    pub fn reloads(&self, outcome: &Outcome) {
        let outcome = match outcome {
            Outcome::Reloaded { .. } => "reloaded",
            Outcome::Unchanged { .. } => "unchanged",
            Outcome::Outdated { .. } => "outdated",
            Outcome::Refused { .. } => "refused",
        };
        self.reloads.with_label_values(&[outcome]).inc();
    }

    /// The counters of a route.
    #[must_use]
    pub fn route(&self, name: &str) -> RouteMetrics {
        RouteMetrics::new(name, &self.requests, &self.refusals, &self.faults_passed, &self.duration)
    }

    /// The metrics of a shared store.
    #[must_use]
    pub fn store(&self, name: &str) -> StoreMetrics {
        self.stores.store(name)
    }

    /// The counters of a session lookup.
    #[must_use]
    pub fn sessions(&self, name: &str) -> SessionMetrics {
        self.sessions.of(name)
    }

    /// Shows the connection caps, read whenever somebody looks.
    ///
    /// # Errors
    /// Where it is called twice.
    pub fn watch_connections(&self, caps: Arc<Caps>) -> Result<(), prometheus::Error> {
        self.registry.register(Box::new(super::connections::Connections::new(caps)?))
    }

    /// Shows the budgets, read whenever somebody looks.
    ///
    /// # Errors
    /// Where it is called twice.
    pub fn watch_budgets(&self, in_force: super::budgets::InForce) -> Result<(), prometheus::Error> {
        self.registry.register(Box::new(super::budgets::Budgets::new(in_force)?))
    }

    /// How long revocations of a source of events take, in seconds.
    #[must_use]
    pub fn revocations(&self, name: &str) -> Histogram {
        self.revocations.of(name)
    }

    /// Shows the sources of events, read whenever somebody looks.
    ///
    /// # Errors
    /// Where it is called twice.
    pub fn watch_events(&self, running: super::events::Running) -> Result<(), prometheus::Error> {
        self.registry.register(Box::new(super::events::Sources::new(running)?))
    }

    /// Shows the lines that the process log has lost.
    ///
    /// # Errors
    /// Where it is called twice.
    pub fn watch_log(&self) -> Result<(), prometheus::Error> {
        super::log::lines_dropped().map_or(Ok(()), |dropped| self.registry.register(Box::new(dropped)))
    }

    /// Everything, in the text format that Prometheus scrapes.
    #[must_use]
    pub fn render(&self) -> Vec<u8> {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "metrics could not be written");
        }
        text
    }
}

impl RouteMetrics {
    fn new(
        route: &str,
        requests: &IntCounterVec,
        refusals: &IntCounterVec,
        faults_passed: &IntCounterVec,
        duration: &HistogramVec,
    ) -> Self {
        Self {
            by_status_class: STATUS_CLASSES.map(|class| requests.with_label_values(&[route, class])),
            refusals: refusals.clone(),
            faults_passed: faults_passed.clone(),
            duration: duration.with_label_values(&[route]),
            route: route.to_owned(),
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_appear_under_their_route() {
        let metrics = Metrics::new().unwrap();
        let route = metrics.route("edge");
        route.finished(204, Duration::from_millis(3));
        route.refused(Reason::RequestReplayed);
        let text = String::from_utf8(metrics.render()).unwrap();
        for line in [
            r#"portcullis_requests_total{route="edge",status="2xx"} 1"#,
            r#"portcullis_refusals_total{reason="REQUEST_REPLAYED",route="edge"} 1"#,
            r#"portcullis_request_duration_seconds_count{route="edge"} 1"#,
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
    }
}
