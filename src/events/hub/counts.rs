//! What a hub tells of itself.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Who is told how long a revocation took.
pub trait Observer: Send + Sync {
    /// From the receipt of an invalidation to the last of its streams closed: its transport has let it go.
    fn revoked(&self, streams: usize, took: Duration);
}

/// Tells nobody.
impl Observer for () {
    fn revoked(&self, _: usize, _: Duration) {}
}

/// What a hub has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HubCounts {
    /// Streams that are open.
    pub streams: usize,
    /// Events that were pushed.
    pub events: u64,
    /// Events that were signed, those of streams' beginnings included.
    pub signed: u64,
    /// Events that were queued for a stream, one for each stream.
    pub queued: u64,
    /// Events that gave way to a newer one before they were delivered, or, on a resume, before they were queued.
    pub coalesced: u64,
    /// Streams that were ended because their queue was full.
    pub too_slow: u64,
    /// Streams that were ended because their session was.
    pub revoked: u64,
    /// Subscriptions that asked for a position that was not held any more.
    pub not_resumed: u64,
}

/// What a hub counts as it goes.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) events: AtomicU64,
    pub(super) queued: AtomicU64,
    pub(super) coalesced: AtomicU64,
    pub(super) too_slow: AtomicU64,
    pub(super) revoked: AtomicU64,
    pub(super) not_resumed: AtomicU64,
}

impl Counters {
    /// What was counted, beside what is counted elsewhere: the streams that are open, and the events that were signed.
    pub(super) fn read(&self, streams: usize, signed: u64) -> HubCounts {
        let Self { events, queued, coalesced, too_slow, revoked, not_resumed } = self;
        HubCounts {
            streams,
            events: events.load(Relaxed),
            signed,
            queued: queued.load(Relaxed),
            coalesced: coalesced.load(Relaxed),
            too_slow: too_slow.load(Relaxed),
            revoked: revoked.load(Relaxed),
            not_resumed: not_resumed.load(Relaxed),
        }
    }
}
