//! The metrics of events, by the names of their sources in the configuration.

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry,
    core::{Collector, Desc},
    proto::MetricFamily,
};

const REVOCATION_BUCKETS: [f64; 9] = [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0];

/// What a source has done so far: pairs of a fixed word and a count.
pub struct Source {
    /// The name in the configuration.
    pub name: String,
    /// Streams that are open.
    pub streams: i64,
    /// Whether the backend's stream is there.
    pub is_up: bool,
    /// Of its feed.
    pub feed: Vec<(&'static str, u64)>,
    /// Of its hub.
    pub hub: Vec<(&'static str, u64)>,
}

/// The sources that run.
pub type Running = Box<dyn Fn() -> Vec<Source> + Send + Sync>;

/// Reads the sources' own counts when they are gathered.
pub(super) struct Sources {
    running: Running,
    streams: IntGaugeVec,
    up: IntGaugeVec,
    feed: IntCounterVec,
    hub: IntCounterVec,
}

impl Sources {
    pub(super) fn new(running: Running) -> Result<Self, prometheus::Error> {
        let gauges = |name: &str, help: &str| IntGaugeVec::new(Opts::new(name, help), &["events"]);
        let counters = |name: &str, help: &str| IntCounterVec::new(Opts::new(name, help), &["events", "what"]);
        Ok(Self {
            running,
            streams: gauges("portcullis_event_streams", "Event streams that are open.")?,
            up: gauges("portcullis_event_feed_up", "Whether the backend's stream of events is there.")?,
            feed: counters("portcullis_event_feed_total", "What the backend's stream of events has brought.")?,
            hub: counters("portcullis_event_hub_total", "What became of events and streams.")?,
        })
    }
}

impl Collector for Sources {
    fn desc(&self) -> Vec<&Desc> {
        [self.streams.desc(), self.up.desc(), self.feed.desc(), self.hub.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.feed.reset();
        self.hub.reset();
        for source in (self.running)() {
            self.streams.with_label_values(&[&source.name]).set(source.streams);
            self.up.with_label_values(&[&source.name]).set(i64::from(source.is_up));
            for (counters, counts) in [(&self.feed, &source.feed), (&self.hub, &source.hub)] {
                for (what, count) in counts {
                    counters.with_label_values(&[source.name.as_str(), *what]).inc_by(*count);
                }
            }
        }
        [self.streams.collect(), self.up.collect(), self.feed.collect(), self.hub.collect()].concat()
    }
}

/// How long revocations took, of all sources.
pub(super) struct Revocations(HistogramVec);

impl Revocations {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let options = HistogramOpts::new(
            "portcullis_event_revocation_seconds",
            "From the receipt of an invalidation to the last of its streams closed.",
        );
        let all = HistogramVec::new(options.buckets(REVOCATION_BUCKETS.to_vec()), &["events"])?;
        registry.register(Box::new(all.clone()))?;
        Ok(Self(all))
    }

    pub(super) fn of(&self, name: &str) -> Histogram {
        self.0.with_label_values(&[name])
    }
}
