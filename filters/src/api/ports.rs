//! What filters need from outside, as small traits.

use super::{Fault, Step};
use ed25519_dalek::VerifyingKey;
use futures_util::future::BoxFuture;
use std::{sync::Arc, time::Duration};

/// Time, so that tests can set it.
pub trait Clock: Send + Sync {
    /// Wall clock, Unix milliseconds. May step.
    fn unix_ms(&self) -> i64;
    /// Monotonic time since some fixed moment of this process. Never steps back.
    fn monotonic(&self) -> Duration;
}

/// Whether a session may act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionStatus {
    /// It may.
    Active,
    /// It was ended.
    Revoked,
}

/// A device session as the backend knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// The id that was asked for.
    pub device_session_id: String,
    /// Whose session it is.
    pub user_id: String,
    /// Whether it may act.
    pub status: SessionStatus,
    /// The device's public key. `None` where it has small order or is not canonically encoded: such a key
    /// verifies nothing (`SIGNATURE_INVALID`).
    pub key: Option<VerifyingKey>,
}

/// The session lookup gave nothing usable: out of reach, out of time, or an answer that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("session lookup failed: {0}")]
pub struct LookupFault(pub Fault);

impl LookupFault {
    /// A fault of this kind.
    #[must_use]
    pub fn new(kind: &'static str, what: impl Into<String>) -> Self {
        Self(Fault::new(kind, what))
    }
}

/// Where sessions are looked up. Every implementation has a deadline.
pub trait SessionLookup: Send + Sync {
    /// The session, or `None` where there is none of this id.
    fn find(&self, device_session_id: &str) -> BoxFuture<'static, Result<Option<Arc<SessionRecord>>, LookupFault>>;
}

/// A store is out of reach or answered nonsense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("store failed: {0}")]
pub struct StoreFault(pub String);

/// What makes a request unique.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ReplayKey {
    /// The session that signed it.
    pub device_session_id: String,
    /// Its id in that session.
    pub request_id: String,
}

/// A reservation that a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayClaim {
    /// What is to be reserved.
    pub key: ReplayKey,
    /// The request's own timestamp, Unix milliseconds.
    pub timestamp_ms: i64,
    /// How long it is kept at least.
    pub keep: Duration,
}

/// One caller's share of one budget rule, to be spent. The charges of one call are of different rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// The budget and its rule, the same for every caller. A store that can take no more keys counts all
    /// new callers of the rule together under this.
    pub rule: Arc<str>,
    /// The rule and the caller in one string: what is counted.
    pub key: String,
    /// What may be spent in a window.
    pub limit: u64,
    /// The window's length.
    pub window: Duration,
    /// What the request costs, at least 1.
    pub cost: u64,
    /// The rule only watches: it counts what fits, and never refuses.
    pub is_observed: bool,
}

/// When something was spent, in the store's own time. A store takes back only what it can find by this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt(pub Duration);

/// What one request asks of a store: to be granted whole, or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claim {
    /// An id to be reserved.
    pub replay: Option<ReplayClaim>,
    /// What is to be spent. The charges of one claim are of different rules.
    pub charges: Vec<Charge>,
}

/// A store's answer to a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// The id is reserved, and every charge that may refuse is spent.
    Granted(Grant),
    /// The id was reserved before, or the store cannot know that it was not. Nothing was spent.
    Replayed,
    /// A charge is over its limit. Nothing was spent or reserved.
    Exhausted(Exhausted),
}

/// What was granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// One state for each charge, in order.
    pub rates: Vec<super::RateState>,
    /// The places of observed charges that were over their limit.
    pub over: Vec<usize>,
    /// To take it back with.
    pub receipt: Receipt,
}

/// What refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exhausted {
    /// The place of the exhausted charge that takes longest to recover.
    pub charge: usize,
    /// Its state.
    pub rate: super::RateState,
    /// Seconds until every charge would fit, at least 1.
    pub retry_after_seconds: u64,
}

/// Remembers which requests were accepted, and counts what callers have spent.
///
/// Of any number of concurrent claims on one id, one is granted, and no rule ever grants more than its limit in
/// any stretch of time as long as its window. Every call has a deadline.
pub trait Store: Send + Sync {
    /// Reserves and spends: all of it, or nothing. A replay is told ahead of an exhausted budget.
    fn claim(&self, claim: &Claim) -> Step<'_, Result<Claimed, StoreFault>>;

    /// Whether a claim on this id would be a replay. Reserves nothing.
    fn is_replayed(&self, replay: &ReplayClaim) -> Step<'_, Result<bool, StoreFault>>;

    /// Takes a reservation back, best effort.
    fn release(&self, key: &ReplayKey);

    /// Gives back what was spent on these charges, best effort: something else refused the same request.
    fn refund(&self, charges: &[Charge], receipt: Receipt);

    /// Whether it can be out of reach.
    fn is_remote(&self) -> bool {
        true
    }

    /// How many instances use it, this one included: the last that was known, where it is out of reach.
    fn instances(&self) -> u64 {
        1
    }
}
