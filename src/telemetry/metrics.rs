//! Metrics for Prometheus. Every label value is a name of the configuration or one of a fixed set, so
//! nothing from outside can make a series.

use super::events::Revocations;
pub use super::routes::RouteMetrics;
use super::routes::Routes;
use super::sessions::{SessionCounters, SessionMetrics};
use super::stores::{StoreMetrics, Stores};
use crate::listener::Caps;
use prometheus::{Encoder as _, Histogram, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};
use std::sync::Arc;

/// The process's metrics.
pub struct Metrics {
    registry: Registry,
    routes: Routes,
    stores: Stores,
    revocations: Revocations,
    sessions: SessionCounters,
    reloads: IntCounterVec,
    /// Processes that did not take this one's place.
    pub upgrades_failed: IntCounter,
    /// Requests that are being served.
    pub in_flight: IntGauge,
    /// Access lines that could not be written, or not fast enough.
    pub access_lines_dropped: IntCounter,
    /// Requests refused before they had a route: malformed heads and unknown paths.
    pub unrouted: RouteMetrics,
}

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
        let routes = Routes::new(&registry)?;
        let unrouted = routes.of("-");
        Ok(Self {
            sessions: SessionCounters::new(&registry)?,
            in_flight: gauge("portcullis_requests_in_flight", "Requests that are being served.")?,
            access_lines_dropped: counter(
                "portcullis_access_lines_dropped_total",
                "Access lines that could not be written.",
            )?,
            upgrades_failed: counter(
                "portcullis_upgrades_failed_total",
                "Processes that were to take the place of this one, and did not.",
            )?,
            reloads: counters(
                "portcullis_reloads_total",
                "Configurations that were read again, by what came of it.",
                &["outcome"],
            )?,
            stores: Stores::new(&registry)?,
            revocations: Revocations::new(&registry)?,
            registry,
            routes,
            unrouted,
        })
    }

    /// Counts a reload by what came of it.
    pub fn reloads(&self, outcome: &str) {
        self.reloads.with_label_values(&[outcome]).inc();
    }

    /// The counters of a route.
    #[must_use]
    pub fn route(&self, name: &str) -> RouteMetrics {
        self.routes.of(name)
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

    /// Shows the upstreams, read whenever somebody looks.
    ///
    /// # Errors
    /// Where it is called twice.
    pub fn watch_upstreams(&self, configured: super::upstreams::Configured) -> Result<(), prometheus::Error> {
        self.registry.register(Box::new(super::upstreams::Upstreams::new(configured)?))
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

#[cfg(test)]
mod tests {
    use super::*;
    use filters::api::Reason;
    use std::time::Duration;

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
