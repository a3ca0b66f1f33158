//! The connection caps as metrics.

use crate::listener::{Caps, Shed};
use prometheus::{
    IntCounter, IntCounterVec, IntGauge, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use std::sync::Arc;

/// Reads the caps' own counters when they are gathered, so that counting a connection costs nothing more.
pub(super) struct Connections {
    caps: Arc<Caps>,
    open: IntGauge,
    shed: IntCounterVec,
}

impl Connections {
    pub(super) fn new(caps: Arc<Caps>) -> Result<Self, prometheus::Error> {
        let shed = Opts::new("portcullis_connections_shed_total", "Connections closed at the door, by cap.");
        let open = IntGauge::new("portcullis_connections", "Open connections, the admin listener's apart.")?;
        Ok(Self { caps, open, shed: IntCounterVec::new(shed, &["cap"])? })
    }

    fn catch_up(counter: &IntCounter, total: u64) {
        counter.inc_by(total.saturating_sub(counter.get()));
    }
}

impl Collector for Connections {
    fn desc(&self) -> Vec<&Desc> {
        self.open.desc().into_iter().chain(self.shed.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.open.set(i64::try_from(self.caps.open()).unwrap_or(i64::MAX));
        Self::catch_up(&self.shed.with_label_values(&["total"]), self.caps.shed(Shed::Total));
        Self::catch_up(&self.shed.with_label_values(&["per_ip"]), self.caps.shed(Shed::PerIp));
        self.open.collect().into_iter().chain(self.shed.collect()).collect()
    }
}
