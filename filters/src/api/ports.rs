//! What filters need from outside, as small traits.

use super::Step;
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
pub struct LookupFault(pub String);

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

/// The store's answer to a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    /// Nobody had the id before.
    First,
    /// It was reserved before, or the store cannot know that it was not.
    Replayed,
}

/// Remembers which requests were accepted.
pub trait ReplayStore: Send + Sync {
    /// Reserves `key` for at least `keep`. Of any number of concurrent calls with one key, one gets `First`.
    /// `timestamp_ms` is the request's own: one from before the store's memory begins is `Replayed`.
    fn reserve(&self, key: &ReplayKey, timestamp_ms: i64, keep: Duration) -> Step<'_, Result<Reserved, StoreFault>>;

    /// Takes a reservation back, best effort.
    fn release(&self, key: &ReplayKey);
}

/// One caller's share of one budget rule, to be spent. The charges of one call are of different rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// The budget and its rule, the same for every caller. A store that can take no more keys counts all
    /// new callers of the rule together under this.
    pub rule: Arc<str>,
    /// The rule and the caller in one string: what is counted.
    pub key: String,
    /// Requests per window.
    pub limit: u64,
    /// The window's length.
    pub window: Duration,
}

/// When something was spent, in the store's own time. A store takes back only what it can find by this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt(pub Duration);

/// The outcome of spending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spent {
    /// Every charge was within its limit, and all were spent.
    All {
        /// One state per charge, in order.
        rates: Vec<super::RateState>,
        /// To take it back with.
        receipt: Receipt,
    },
    /// At least one was over its limit, and nothing was spent.
    Refused {
        /// The exhausted rule that takes longest to recover.
        rate: super::RateState,
        /// Seconds until every rule would let the request pass, at least 1.
        retry_after_seconds: u64,
    },
}

/// Counts what callers have spent.
pub trait BudgetStore: Send + Sync {
    /// Spends one from every charge, or nothing at all.
    fn spend(&self, charges: &[Charge]) -> Step<'_, Result<Spent, StoreFault>>;

    /// Gives back what was spent on these charges, best effort: another store refused the same request.
    fn refund(&self, charges: &[Charge], receipt: Receipt);
}
