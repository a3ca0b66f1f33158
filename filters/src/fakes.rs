//! What filters need, without a proxy, a network or a store: for tests.

use crate::api::{
    Charge, Claim, Claimed, CommandState, Exchange, Exhausted, Facts, Filter, Grant, Halt, Head, LookupFault,
    MessageTypes, Outcome, Parts, RateState, Reason, Receipt, ReplayClaim, ReplayKey, SessionLookup, SessionRecord,
    SessionStatus, Step, Store, StoreFault,
};
use crate::session::{AnsweredFrom, CacheOptions, Counts, Directory, Invalidations, LookedUp};
use crate::{budget::Budget, memory::MemoryBudgets};
use bytes::Bytes;
use ed25519_dalek::VerifyingKey;
use futures_util::{FutureExt as _, future::BoxFuture};
use http::{HeaderMap, Method};
use proto::{edge::v1::ExecuteCommandRequest, signing::Markers};
use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

/// The contract's Vector 1 was signed at this time.
pub(crate) const NOW_MS: i64 = 1_700_000_000_000;

pub(crate) fn unhex(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

/// The contract's Vector 1.
pub(crate) fn command() -> ExecuteCommandRequest {
    ExecuteCommandRequest {
        protocol_version: "v1".to_owned(),
        device_session_id: "session-1".to_owned(),
        message_type: "user.account.get".to_owned(),
        timestamp_ms: NOW_MS,
        request_id: "req-1".to_owned(),
        payload_bytes: Bytes::new(),
        payload_hash: unhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855").into(),
        signature: unhex(
            "0f348dbd30dae3f4d37e1920d960582dcbacf5eebbd6284752169b9bd4963588\
             c51225e95b3a8f6f21de6a3b4e73f23c4129b46d560fef697e092f20c42e7d0f",
        )
        .into(),
        trace_id: String::new(),
    }
}

/// The session of Vector 1.
pub(crate) fn session(status: SessionStatus) -> SessionRecord {
    let key = unhex("03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8");
    SessionRecord {
        device_session_id: "session-1".to_owned(),
        user_id: "user-1".to_owned(),
        status,
        key: Some(VerifyingKey::from_bytes(&key.try_into().unwrap()).unwrap()),
    }
}

/// Time that stands still until it is set. Wall and monotonic clock move apart only where a test lets them.
#[derive(Default)]
pub(crate) struct FakeClock {
    monotonic: Mutex<Duration>,
    wall_step_ms: Mutex<i64>,
}

impl FakeClock {
    pub(crate) fn set(&self, monotonic: Duration) {
        *self.monotonic.lock().unwrap() = monotonic;
    }

    pub(crate) fn step_wall(&self, by_ms: i64) {
        *self.wall_step_ms.lock().unwrap() += by_ms;
    }
}

impl crate::api::Clock for FakeClock {
    fn unix_ms(&self) -> i64 {
        let monotonic_ms = self.monotonic.lock().unwrap().as_millis();
        NOW_MS + i64::try_from(monotonic_ms).unwrap() + *self.wall_step_ms.lock().unwrap()
    }

    fn monotonic(&self) -> Duration {
        *self.monotonic.lock().unwrap()
    }
}

/// Parts with a clock and a budget store for each instance, and nothing else.
pub(crate) fn parts() -> Parts {
    let clock = Arc::<FakeClock>::default();
    Parts {
        clock: Arc::<FakeClock>::clone(&clock),
        markers: Markers::default(),
        sessions: BTreeMap::new(),
        stores: BTreeMap::new(),
        instance: Arc::new(MemoryBudgets::new(clock, 1000)),
        budgets: BTreeMap::new(),
    }
}

/// Adds a budget as it is written.
pub(crate) fn add_budget(parts: &mut Parts, name: &str, yaml: &str) -> Arc<Budget> {
    let budget = Arc::new(Budget::new(name, &serde_yaml::from_str(yaml).unwrap(), Arc::default()).unwrap());
    parts.budgets.insert(name.to_owned(), Arc::clone(&budget));
    budget
}

/// A lookup with one answer.
struct FakeSessions(Result<Option<Arc<SessionRecord>>, LookupFault>);

impl SessionLookup for FakeSessions {
    fn find(&self, _: &str) -> BoxFuture<'static, Result<Option<Arc<SessionRecord>>, LookupFault>> {
        std::future::ready(self.0.clone()).boxed()
    }
}

/// Counts nothing.
pub(crate) struct Uncounted;

impl Counts for Uncounted {
    fn answered(&self, _: AnsweredFrom) {}
    fn looked_up(&self, _: LookedUp) {}
}

/// Sessions that all have one answer.
pub(crate) fn directory(found: Result<Option<Arc<SessionRecord>>, LookupFault>) -> Arc<Directory> {
    let invalidations = Arc::new(Invalidations::new(Arc::<FakeClock>::default()));
    Arc::new(Directory::new(Arc::new(FakeSessions(found)), CacheOptions::default(), invalidations, Arc::new(Uncounted)))
}

/// What a [`FakeStore`] says to every claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Says {
    /// Granted, with so much left of every charge.
    Granted(u64),
    Replayed,
    /// The first charge is exhausted, for 42 s.
    Exhausted,
    Down,
}

/// A store with one answer, which may take a moment, and four instances.
pub(crate) struct FakeStore {
    pub(crate) says: Says,
    pub(crate) is_slow: bool,
    pub(crate) claims: Mutex<Vec<Claim>>,
    pub(crate) released: Mutex<Vec<ReplayKey>>,
    pub(crate) refunded: Mutex<Vec<Vec<Charge>>>,
}

impl FakeStore {
    pub(crate) fn new(says: Says, is_slow: bool) -> Arc<Self> {
        let (claims, released, refunded) = Default::default();
        Arc::new(Self { says, is_slow, claims, released, refunded })
    }

    fn answer<T: Send + 'static>(&self, answer: T) -> Step<'_, T> {
        if !self.is_slow {
            return Step::Ready(answer);
        }
        Step::later(async {
            tokio::task::yield_now().await;
            answer
        })
    }
}

impl Store for FakeStore {
    fn claim(&self, claim: &Claim) -> Step<'_, Result<Claimed, StoreFault>> {
        self.claims.lock().unwrap().push(claim.clone());
        let rate = |charge: &Charge, remaining| RateState { limit: charge.limit, remaining, reset_seconds: 1 };
        self.answer(match self.says {
            Says::Granted(remaining) => Ok(Claimed::Granted(Grant {
                rates: claim.charges.iter().map(|charge| rate(charge, remaining)).collect(),
                over: Vec::new(),
                receipt: Receipt(Duration::from_secs(7)),
            })),
            Says::Replayed => Ok(Claimed::Replayed),
            Says::Exhausted => Ok(Claimed::Exhausted(Exhausted {
                charge: 0,
                rate: rate(&claim.charges[0], 0),
                retry_after_seconds: 42,
            })),
            Says::Down => Err(StoreFault("down".to_owned())),
        })
    }

    fn is_replayed(&self, _: &ReplayClaim) -> Step<'_, Result<bool, StoreFault>> {
        self.answer(match self.says {
            Says::Down => Err(StoreFault("down".to_owned())),
            says => Ok(says == Says::Replayed),
        })
    }

    fn release(&self, key: &ReplayKey) {
        self.released.lock().unwrap().push(key.clone());
    }

    fn refund(&self, charges: &[Charge], _: Receipt) {
        self.refunded.lock().unwrap().push(charges.to_vec());
    }

    fn instances(&self) -> u64 {
        4
    }
}

/// Serves the message_type of Vector 1 only.
struct FakeTypes;

impl MessageTypes for FakeTypes {
    fn is_routed(&self, message_type: &str) -> bool {
        message_type == "user.account.get"
    }
}

/// A request and what the filters found of it.
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) client_ip: IpAddr,
    pub(crate) cost: u64,
    pub(crate) body: Option<Bytes>,
    pub(crate) facts: Facts,
}

impl Request {
    pub(crate) fn get(path: &str) -> Self {
        Self {
            method: Method::GET,
            path: path.to_owned(),
            headers: HeaderMap::new(),
            client_ip: [192, 0, 2, 1].into(),
            cost: 1,
            body: None,
            facts: Facts::default(),
        }
    }

    pub(crate) fn post(content_type: &str, body: impl Into<Bytes>) -> Self {
        let mut request = Self { method: Method::POST, body: Some(body.into()), ..Self::get("/") };
        request.headers.insert(http::header::CONTENT_TYPE, content_type.parse().unwrap());
        request
    }

    pub(crate) fn with_command(command: CommandState) -> Self {
        let mut request = Self { method: Method::POST, ..Self::get("/edge.v1.Gateway/ExecuteCommand") };
        request.facts.command = command;
        request
    }

    pub(crate) fn exchange(&mut self) -> Exchange<'_> {
        Exchange {
            head: Head {
                method: &self.method,
                path: &self.path,
                query: None,
                headers: &self.headers,
                client_ip: self.client_ip,
                route: "route-1",
                cost: self.cost,
            },
            body: self.body.as_ref(),
            message_types: Some(&FakeTypes),
            facts: &mut self.facts,
        }
    }

    pub(crate) async fn check(&mut self, filter: &dyn Filter) -> Outcome {
        filter.check(&mut self.exchange()).get().await
    }

    /// For filters that wait for nothing.
    pub(crate) fn check_now(&mut self, filter: &dyn Filter) -> Outcome {
        self.check(filter).now_or_never().expect("the filter waits")
    }
}

/// The reason for which an outcome refuses, by rule or by fault.
pub(crate) fn reason(outcome: Outcome) -> Option<Reason> {
    match outcome {
        Ok(()) => None,
        Err(Halt::Refused(refusal) | Halt::Faulted(refusal)) => Some(refusal.reason),
        Err(Halt::Answered(status)) => panic!("answered with {status}"),
    }
}
