//! What filters need, without a proxy, a network or a store: for tests.

use crate::api::{
    CommandState, Exchange, Facts, Filter, Halt, Head, LookupFault, MessageTypes, Outcome, Parts, Reason, ReplayKey,
    ReplayStore, Reserved, SessionLookup, SessionRecord, SessionStatus, Step, StoreFault,
};
use crate::memory::MemoryBudgets;
use crate::session::{AnsweredFrom, CacheOptions, Counts, Directory, Invalidations, LookedUp};
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
        replay_stores: BTreeMap::new(),
        budget_stores: BTreeMap::new(),
        instance_budgets: Arc::new(MemoryBudgets::new(clock, 1000)),
        budgets: BTreeMap::new(),
    }
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

/// A replay store with one answer.
pub(crate) struct FakeReplay {
    pub(crate) answer: Result<Reserved, StoreFault>,
    pub(crate) is_slow: bool,
    pub(crate) reserved: Mutex<Vec<(ReplayKey, i64, Duration)>>,
    pub(crate) released: Mutex<Vec<ReplayKey>>,
}

impl Default for FakeReplay {
    fn default() -> Self {
        Self { answer: Ok(Reserved::First), is_slow: false, reserved: Mutex::default(), released: Mutex::default() }
    }
}

impl ReplayStore for FakeReplay {
    fn reserve(&self, key: &ReplayKey, timestamp_ms: i64, keep: Duration) -> Step<'_, Result<Reserved, StoreFault>> {
        self.reserved.lock().unwrap().push((key.clone(), timestamp_ms, keep));
        if !self.is_slow {
            return Step::Ready(self.answer.clone());
        }
        Step::later(async {
            tokio::task::yield_now().await;
            self.answer.clone()
        })
    }

    fn release(&self, key: &ReplayKey) {
        self.released.lock().unwrap().push(key.clone());
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
