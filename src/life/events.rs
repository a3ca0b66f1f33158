//! The sources of events that a process runs, and what is told of them.

use crate::{
    events::{Events, Sources, hub::Observer},
    plan::{Plan, events::EventSource},
    telemetry::{events::Source, metrics::Metrics},
};
use arc_swap::ArcSwap;
use filters::{api::Clock, session::Invalidations};
use prometheus::Histogram;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::sync::watch;

struct Revoked(Histogram);

impl Observer for Revoked {
    fn revoked(&self, _: usize, took: Duration) {
        self.0.observe(took.as_secs_f64());
    }
}

/// What each feed goes on after: known once no other process holds it any more.
pub(super) struct Cursors(watch::Receiver<Option<BTreeMap<String, String>>>);

impl Cursors {
    /// For feeds that nobody held.
    pub(super) fn none() -> Self {
        let (tell, cursors) = Self::told();
        tell.send_replace(Some(BTreeMap::new()));
        cursors
    }

    /// Told later. Where the other end is dropped, they begin anew.
    pub(super) fn told() -> (watch::Sender<Option<BTreeMap<String, String>>>, Self) {
        let (tell, cursors) = watch::channel(None);
        (tell, Self(cursors))
    }

    fn of(&self, name: &str) -> impl Future<Output = Option<String>> + Send + use<> {
        let (mut cursors, name) = (self.0.clone(), name.to_owned());
        async move {
            let cursors = cursors.wait_for(Option::is_some).await.ok()?;
            cursors.as_ref()?.get(&name).cloned()
        }
    }
}

/// The sources of a plan: those that run already and are the same, with the plan's key, and new ones.
pub(super) fn take_over(
    running: &Sources,
    plan: &Plan,
    cursors: &Cursors,
    clock: &Arc<dyn Clock>,
    invalidations: &Arc<Invalidations>,
    metrics: &Metrics,
) -> Sources {
    let source = |(name, source): (&String, &Arc<EventSource>)| {
        let same = running.get(name).filter(|events| events.origin == source.origin);
        let start = || {
            let previous = running.get(name).map(AsRef::as_ref);
            // Two feeds with one `gateway_client_id` would end each other.
            if let Some(events) = previous {
                events.stop_feed();
            }
            let observer = Arc::new(Revoked(metrics.revocations(name)));
            Arc::new(Events::start(source, cursors.of(name), clock, invalidations, observer, previous))
        };
        (name.clone(), same.cloned().unwrap_or_else(start))
    };
    plan.events.iter().map(source).collect()
}

/// Shows the metrics of whatever runs.
///
/// # Errors
/// Where it is called twice.
pub(super) fn show(running: &Arc<ArcSwap<Sources>>, metrics: &Metrics) -> Result<(), prometheus::Error> {
    let running = Arc::clone(running);
    metrics.watch_events(Box::new(move || running.load().iter().map(|(name, events)| of(name, events)).collect()))
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
