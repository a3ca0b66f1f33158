//! The sources of events that a process runs, and what is told of them.

use crate::{
    events::{Events, Sources, hub::Observer},
    plan::Plan,
    telemetry::{
        events::{Running, Source},
        metrics::Metrics,
    },
};
use filters::{api::Clock, session::Invalidations};
use prometheus::Histogram;
use std::{sync::Arc, time::Duration};

struct Revoked(Histogram);

impl Observer for Revoked {
    fn revoked(&self, _: usize, took: Duration) {
        self.0.observe(took.as_secs_f64());
    }
}

/// Starts what the routes of a plan name, and shows its metrics.
///
/// # Errors
/// Where it is called twice.
pub(super) fn start(
    plan: &Plan,
    clock: &Arc<dyn Clock>,
    invalidations: &Arc<Invalidations>,
    metrics: &Metrics,
) -> Result<Sources, prometheus::Error> {
    let source = |(name, source): (&String, &Arc<_>)| {
        let observer = Arc::new(Revoked(metrics.revocations(name)));
        (name.clone(), Events::start(source, clock, invalidations, observer))
    };
    let sources: Sources = Arc::new(plan.events.iter().map(source).collect());
    if !sources.is_empty() {
        metrics.watch_events(counts(Arc::clone(&sources)))?;
    }
    Ok(sources)
}

fn counts(sources: Sources) -> Running {
    Box::new(move || sources.iter().map(|(name, events)| of(name, events)).collect())
}

fn of(name: &str, events: &Events) -> Source {
    let (hub, feed) = (events.hub.counts(), events.feed.counts());
    Source {
        name: name.to_owned(),
        streams: i64::try_from(hub.streams).unwrap_or(i64::MAX),
        is_up: events.feed.link().is_up(),
        feed: vec![
            ("opened", feed.opened),
            ("ended", feed.ended),
            ("events", feed.events),
            ("invalidations", feed.invalidations),
            ("gaps", feed.gaps),
            ("duplicates", feed.duplicates),
            ("malformed", feed.malformed),
        ],
        hub: vec![
            ("events", hub.events),
            ("signed", hub.signed),
            ("queued", hub.queued),
            ("coalesced", hub.coalesced),
            ("too_slow", hub.too_slow),
            ("revoked", hub.revoked),
            ("not_resumed", hub.not_resumed),
        ],
    }
}
