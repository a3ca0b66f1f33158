//! How the feed is, for readiness and metrics.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};
use tokio::{sync::watch, time::Instant};

/// Whether the backend's stream is there.
#[derive(Debug, Clone)]
pub enum Link {
    /// It is.
    Up {
        /// Since when.
        since: Instant,
    },
    /// It is not.
    Down {
        /// Since when; the tries in between do not count.
        since: Instant,
        /// What the last try came to.
        why: Arc<str>,
    },
}

impl Link {
    /// Whether it is there.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        matches!(self, Self::Up { .. })
    }
}

/// What a feed has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FeedCounts {
    /// Streams that the backend has opened.
    pub opened: u64,
    /// Streams that ended, and tries to open one that failed.
    pub ended: u64,
    /// Events for devices.
    pub events: u64,
    /// Invalidations.
    pub invalidations: u64,
    /// Gaps: those that the backend told of, and those that were found.
    pub gaps: u64,
    /// What came again.
    pub duplicates: u64,
    /// What was no event for devices and named nobody's session.
    pub malformed: u64,
}

/// How the feed is: read by anybody, written by the feed alone.
#[derive(Debug)]
pub struct FeedStatus {
    link: watch::Sender<Link>,
    has_rival: AtomicBool,
    pub(super) opened: AtomicU64,
    pub(super) ended: AtomicU64,
    pub(super) events: AtomicU64,
    pub(super) invalidations: AtomicU64,
    pub(super) gaps: AtomicU64,
    pub(super) duplicates: AtomicU64,
    pub(super) malformed: AtomicU64,
}

impl FeedStatus {
    pub(super) fn new() -> Self {
        let why = "it was not connected to yet".into();
        let (opened, ended, events, invalidations, gaps, duplicates, malformed) = Default::default();
        let link = watch::Sender::new(Link::Down { since: Instant::now(), why });
        let has_rival = AtomicBool::new(false);
        Self { link, has_rival, opened, ended, events, invalidations, gaps, duplicates, malformed }
    }

    /// How it is now.
    #[must_use]
    pub fn link(&self) -> Link {
        self.link.borrow().clone()
    }

    /// How it is, and each change of it.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Link> {
        self.link.subscribe()
    }

    /// Whether another instance seems to use the same `gateway_client_id`.
    #[must_use]
    pub fn has_rival(&self) -> bool {
        self.has_rival.load(Relaxed)
    }

    /// What it has done so far.
    #[must_use]
    pub fn counts(&self) -> FeedCounts {
        FeedCounts {
            opened: self.opened.load(Relaxed),
            ended: self.ended.load(Relaxed),
            events: self.events.load(Relaxed),
            invalidations: self.invalidations.load(Relaxed),
            gaps: self.gaps.load(Relaxed),
            duplicates: self.duplicates.load(Relaxed),
            malformed: self.malformed.load(Relaxed),
        }
    }

    /// True where it was not up before.
    pub(super) fn up(&self) -> bool {
        self.link.send_if_modified(|link| {
            let was_up = link.is_up();
            if !was_up {
                *link = Link::Up { since: Instant::now() };
            }
            !was_up
        })
    }

    pub(super) fn down(&self, why: &str) {
        self.link.send_modify(|link| {
            let since = match link {
                Link::Up { .. } => Instant::now(),
                Link::Down { since, .. } => *since,
            };
            *link = Link::Down { since, why: why.into() };
        });
    }

    pub(super) fn suspect(&self, has_rival: bool) {
        self.has_rival.store(has_rival, Relaxed);
    }
}
