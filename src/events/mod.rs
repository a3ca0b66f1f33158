//! Events: one feed in, every device out.
//!
//! The [`feed`] holds the backend's stream, the [`hub`] hands what it brings to the open streams of devices. Both
//! live on from plan to plan where their source is configured the same.

pub mod backoff;
pub mod feed;
pub mod hub;

use crate::plan::{Origin, events::EventSource};
use feed::{Feed, FeedStatus, Link};
use filters::{api::Clock, session::Invalidations};
use hub::{Hub, Observer};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{
    task::AbortHandle,
    time::{Instant, sleep},
};

/// How long a device waits for an instance to reach its position.
const CATCHING_UP: Duration = Duration::from_secs(1);
/// A feed that has been there for so long has brought what it missed.
const STEADY: Duration = Duration::from_secs(5);
/// What a feed takes to notice that it is stopped, which it does when it waits.
const ENDING: Duration = Duration::from_millis(1);
/// Devices look for their position so often: to wake each of them for every event would cost more.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The sources that run, by name.
pub type Sources = BTreeMap<String, Arc<Events>>;

/// A source of events that runs. Dropped, its feed is closed and its streams get nothing any more.
pub struct Events {
    /// What it was made from.
    pub origin: Origin,
    /// What the backend's stream was.
    pub feed_origin: Origin,
    /// Where devices subscribe.
    pub hub: Arc<Hub>,
    /// How the backend's stream is.
    pub feed: Arc<FeedStatus>,
    feeding: AbortHandle,
    timing: AbortHandle,
}

impl Events {
    /// Starts the feed and the hub's timer on the current runtime. The feed is not up yet when this returns: it waits for
    /// `cursor`, and goes on after that, or begins with what comes then. Where the backend's stream is that of `previous`,
    /// it goes on where that was, and devices resume from what it has held.
    #[must_use]
    pub fn start(
        source: &EventSource,
        cursor: impl Future<Output = Option<String>> + Send + 'static,
        clock: &Arc<dyn Clock>,
        invalidations: &Arc<Invalidations>,
        observer: Arc<dyn Observer>,
        previous: Option<&Self>,
    ) -> Self {
        let signer = Arc::clone(&source.signer);
        let (hub, publisher) = Hub::new(source.limits.clone(), &source.kinds, signer, Arc::clone(clock), observer);
        let previous = previous.filter(|previous| previous.feed_origin == source.feed_origin);
        let taken = previous.and_then(|previous| hub.take_over(&previous.hub)).unwrap_or_default();
        let mut feed = Feed::new(source.feed.clone(), publisher, invalidations).going_on(taken);
        let status = feed.status();
        let feeding = async move {
            if let Some(cursor) = cursor.await {
                feed.go_on_after(cursor);
            }
            feed.run().await;
        };
        let timer = tokio::spawn(Arc::clone(&hub).keep_time()).abort_handle();
        Self {
            origin: source.origin,
            feed_origin: source.feed_origin,
            hub,
            feed: status,
            feeding: tokio::spawn(feeding).abort_handle(),
            timing: timer,
        }
    }

    /// Closes the feed for good. Its streams stay open, and get nothing any more.
    pub fn stop_feed(&self) {
        self.feeding.abort();
    }

    /// Closes the feed for good, so that another process can hold it. Answers with the cursor after which nothing was
    /// seen, where there is one.
    pub async fn end_feed(&self) -> Option<String> {
        self.stop_feed();
        while !self.feeding.is_finished() {
            sleep(ENDING).await;
        }
        self.hub.cursor().map(|cursor| cursor.as_ref().to_owned())
    }

    /// Waits a moment for a position that is not held, where the feed was away just now: the device may come from an
    /// instance that is ahead. It would otherwise be told of a gap, and get again what it has seen there.
    pub async fn catch_up(&self, position: &str) {
        let due = Instant::now() + CATCHING_UP;
        while self.may_be_behind() && !self.hub.holds(position) && Instant::now() < due {
            sleep(LOOK_EVERY).await;
        }
    }

    fn may_be_behind(&self) -> bool {
        match self.feed.link() {
            Link::Up { since } => since.elapsed() < STEADY,
            Link::Down { .. } => true,
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.feeding.abort();
        self.timing.abort();
    }
}
