//! A store in Redis or Valkey, shared by all instances that name the same one and the same prefix.
//!
//! # What holds
//! A claim is one script, so one round trip: all of it or nothing, on the server's clock. Budgets are the sliding
//! windows of `filters::memory`, exact in any stretch as long as the window. An id that was accepted is never
//! accepted again, on any instance, whatever is done to the server or to clocks:
//!
//! - Ids are kept for twice the longest time that anybody asked for, and the *epoch* moves behind the timestamps of
//!   ids that expire: what is stamped up to the epoch is taken for replayed. It does not matter whether they
//!   expired because time went by or because the server's clock was set forward. Where it is set back, ids and
//!   spends are kept longer.
//! - A server that has no state (emptied, or restarted so), or has one that another start of a server wrote
//!   (restarted, promoted, or made a replica and a primary again), makes a new *fence*: the epoch becomes the
//!   present, by the clocks of the server and of the caller, and not less than any timestamp that the caller knows to
//!   have been accepted. For a few seconds more, what is stamped ahead of both clocks is refused, while the other instances tell with their claims and
//!   heartbeats what they know from before the fence; the epoch moves behind that too.
//!
//! # What does not
//! - A command that is stamped ahead of the clocks, accepted, and lost with the server's memory, is accepted again
//!   if the one instance that knew of it ends within the second until its next heartbeat, or cannot reach the server
//!   for longer than another that has come back to it waits: some five seconds.
//! - Nobody knows of such a command when all instances and the server have lost their memory together, either.
//! - Asynchronous replication loses the last reservations in a failover. The new primary is seen to be another
//!   server and makes a fence, so nothing comes of that. But while an old primary still serves some instances (split
//!   brain), an id can be accepted once on either side; `min-replicas-to-write` on the servers bounds that.
//! - The server's eviction policy is looked at every second: what it drops within that second is not missed.
//! - A call without an answer in time may have been carried out: its id stays reserved, its budgets stay spent.
//! - After a fence, commands are refused that were stamped before it or before the furthest ahead that any command was
//!   accepted: whoever may sign can so prolong a fence by as much as freshness lets a command be ahead.
//! - A server that its first replica is attached to looks like another one, so it makes a fence that none needed.
//! - Who deletes single keys, or sets the clock of the server forward by more than a window, frees what they counted.
//! - A fence made by an instance whose clock is far ahead refuses everything until that time: delete the key
//!   `<prefix>state` once the clock is right.
//!
//! # What a user of the server must be allowed
//! `INFO`, `EVALSHA`, `SCRIPT LOAD`, in a Cluster `CLUSTER SLOTS` and `CLUSTER KEYSLOT`, and in scripts, on keys with
//! the prefix: `INFO`, `TIME`, `HMGET`, `HSET`, `EXISTS`, `MGET`, `SET`, `DEL`, `ZADD`, `ZREMRANGEBYSCORE`, `ZCARD`, `PEXPIRE`.

mod calls;
mod dial;
mod fault;
mod knowledge;
mod link;
mod locate;
mod options;
mod scripts;
mod supervisor;
mod wire;

pub use options::{Login, OptionsFault, Place, RedisOptions};
pub use scripts::Scripts;

use crate::telemetry::stores::StoreMetrics;
use arc_swap::{ArcSwap, ArcSwapOption};
use fault::LinkFault;
use filters::api::{Charge, Claim, Claimed, Clock, Grant, Receipt, ReplayClaim, ReplayKey, Step, Store, StoreFault};
use knowledge::Knowledge;
use link::Link;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};
use wire::Keys;

/// How often it is looked whether a first attempt has ended.
const TRIED_POLL: Duration = Duration::from_millis(2);

/// Whether a store can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It can.
    Up,
    /// It cannot.
    Down {
        /// Why, fit to be shown: without secrets.
        reason: String,
    },
    /// It answers, but is set up so that it would break what it promises: somebody has to change that.
    Unfit {
        /// Why.
        reason: String,
    },
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Up => f.write_str("up"),
            Self::Down { reason } => write!(f, "down: {reason}"),
            Self::Unfit { reason } => write!(f, "unfit: {reason}"),
        }
    }
}

/// A store in Redis or Valkey. Every call fails at once while there is no link, and at the latest when
/// `command_timeout` is over.
pub struct RedisStore {
    name: String,
    options: RedisOptions,
    scripts: Arc<Scripts>,
    clock: Arc<dyn Clock>,
    metrics: StoreMetrics,
    keys: Keys,
    /// Like that of no other instance.
    instance: String,
    link: ArcSwapOption<Link>,
    status: ArcSwap<Status>,
    why_down: ArcSwap<LinkFault>,
    in_flight: Arc<Semaphore>,
    knowledge: Knowledge,
    /// The longest time, in nanoseconds, that anybody here wanted an id kept.
    keep_longest: AtomicU64,
    instances: AtomicU64,
}

impl RedisStore {
    /// A store that is not connected: [`RedisStore::run`] does that, on whatever runtime it is given.
    #[must_use]
    pub fn new(name: &str, options: RedisOptions, clock: Arc<dyn Clock>, metrics: StoreMetrics) -> Arc<Self> {
        Self::with_scripts(name, options, clock, metrics, Scripts::default())
    }

    /// A store with other scripts: a test sets the server's time so.
    #[must_use]
    pub fn with_scripts(
        name: &str,
        options: RedisOptions,
        clock: Arc<dyn Clock>,
        metrics: StoreMetrics,
        scripts: Scripts,
    ) -> Arc<Self> {
        let fault = LinkFault::NotYet;
        Arc::new(Self {
            name: name.to_owned(),
            keys: Keys::new(&options.prefix),
            in_flight: Arc::new(Semaphore::new(options.in_flight_max.min(Semaphore::MAX_PERMITS))),
            options,
            scripts: Arc::new(scripts),
            clock,
            metrics,
            instance: format!("{:032x}", fastrand::u128(..)),
            link: ArcSwapOption::empty(),
            status: ArcSwap::from_pointee(Status::Down { reason: fault.to_string() }),
            why_down: ArcSwap::from_pointee(fault),
            knowledge: Knowledge::default(),
            keep_longest: AtomicU64::new(0),
            instances: AtomicU64::new(1),
        })
    }

    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it can be used.
    #[must_use]
    pub fn status(&self) -> Status {
        Status::clone(&self.status.load())
    }

    /// Waits until a first attempt to connect has come to its end, well or not, and at most as long as one step of it
    /// may take.
    pub async fn tried(&self) {
        let is_untried = || self.link.load().is_none() && matches!(**self.why_down.load(), LinkFault::NotYet);
        let until = Instant::now() + self.options.connect_timeout;
        while is_untried() && Instant::now() < until {
            sleep(TRIED_POLL).await;
        }
    }

    /// Notes how long ids are kept, and says the longest that was ever asked for.
    fn keep(&self, asked: Duration) -> Duration {
        let asked = u64::try_from(asked.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.keep_longest.fetch_max(asked, Relaxed).max(asked))
    }
}

impl Store for RedisStore {
    fn claim(&self, claim: &Claim) -> Step<'_, Result<Claimed, StoreFault>> {
        if claim.replay.is_none() && claim.charges.is_empty() {
            let nothing = Grant { rates: Vec::new(), over: Vec::new(), receipt: Receipt(Duration::ZERO) };
            return Step::Ready(Ok(Claimed::Granted(nothing)));
        }
        let link = match self.link_now() {
            Ok(link) => link,
            Err(fault) => return Step::Ready(Err(said(&fault))),
        };
        let claim = claim.clone();
        Step::later(async move { self.claim_on(&link, &claim).await.map_err(|fault| said(&fault)) })
    }

    fn is_replayed(&self, replay: &ReplayClaim) -> Step<'_, Result<bool, StoreFault>> {
        let link = match self.link_now() {
            Ok(link) => link,
            Err(fault) => return Step::Ready(Err(said(&fault))),
        };
        let replay = replay.clone();
        Step::later(async move { self.look_on(&link, &replay).await.map_err(|fault| said(&fault)) })
    }

    fn release(&self, key: &ReplayKey) {
        self.release_later(key);
    }

    fn refund(&self, charges: &[Charge], receipt: Receipt) {
        self.refund_later(charges, receipt);
    }

    fn instances(&self) -> u64 {
        self.instances.load(Relaxed).max(1)
    }
}

fn said(fault: &fault::CallFault) -> StoreFault {
    StoreFault(fault.to_string())
}
