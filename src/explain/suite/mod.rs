//! The tests of a configuration, run.

mod compare;

use super::{
    command::{Command, Signer},
    considered::place,
    explanation::{Explanation, Place, Upshot},
    rehearsal::{Rehearsal, RehearsalFault},
    request::{Parts, Request, RequestFault},
    stand_in::{Answers, Given, Lookups},
};
use crate::config::{
    Loaded,
    source::{Expected, Test, TestAnswer, TestCommand, TestRequest, TestSession, TestStatus, TestStep},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::Value as Json;
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    num::NonZeroU32,
    time::Duration,
};

/// When tests begin: 2026-01-01, midnight in Greenwich.
const BEGIN_MS: i64 = 1_767_225_600_000;
/// An address of nobody (RFC 5737).
const SOMEBODY: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// What a test came to.
#[derive(Debug, Clone, Serialize)]
pub struct Tested {
    /// The test.
    pub name: String,
    /// Where it is written.
    pub at: Place,
    /// How many requests were tried.
    pub requests: u32,
    /// What was not as it was expected. It has passed where there is nothing.
    pub failures: Vec<Failure>,
}

/// What was not as it was expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Where it is written what was expected.
    pub at: Place,
    /// What is looked at: `status`.
    pub what: String,
    /// What was expected.
    pub expected: String,
    /// What came.
    pub came: String,
}

/// Why a test cannot be run. The configuration's checks have found most of it before.
#[derive(Debug, thiserror::Error)]
pub enum SuiteFault {
    /// The configuration gives no plan.
    #[error(transparent)]
    Rehearsal(#[from] RehearsalFault),
    /// A request of a test cannot be sent.
    #[error("{at}: {fault}")]
    Request {
        /// Which.
        at: Place,
        /// Why.
        fault: RequestFault,
    },
}

/// One request of a test, in whichever form it is written.
struct Step<'a> {
    pointer: String,
    after: Duration,
    sent: Written<'a>,
    times: u32,
    expect: &'a Expected,
}

#[derive(Clone, Copy)]
enum Written<'a> {
    Plain(&'a TestRequest),
    Command(&'a TestCommand),
}

/// Runs the test at this place of the configuration, on a plan of its own.
///
/// # Errors
/// Where it cannot be run.
pub async fn run(loaded: &Loaded, index: usize, test: &Test) -> Result<Tested, SuiteFault> {
    let signer = Signer::new(loaded.config.signing.as_ref());
    let rehearsal = Rehearsal::new(loaded.clone(), BEGIN_MS, answers(loaded, test, &signer))?;
    let pointer = format!("/tests/{index}");
    let at = place(rehearsal.plan(), &format!("{pointer}/name"));
    let mut running = Running { rehearsal, signer, sent: 0 };
    let mut failures = Vec::new();
    for step in steps(&pointer, test) {
        running.rehearsal.pass(step.after);
        failures.extend(running.step(&step).await?);
    }
    Ok(Tested { name: test.name.clone(), at, requests: running.sent, failures })
}

fn steps<'a>(pointer: &str, test: &'a Test) -> Vec<Step<'a>> {
    let times = |times: Option<NonZeroU32>| times.map_or(1, NonZeroU32::get);
    // What has neither, or expects nothing, is a problem of the configuration.
    let sent = |request: &'a Option<TestRequest>, command: &'a Option<TestCommand>| match (request, command) {
        (Some(request), _) => Some(Written::Plain(request)),
        (None, command) => command.as_ref().map(Written::Command),
    };
    let alone = || {
        let (sent, expect) = (sent(&test.request, &test.command)?, test.expect.as_ref()?);
        let after = Duration::ZERO;
        Some(Step { pointer: pointer.to_owned(), after, sent, times: times(test.times), expect })
    };
    let step = |(index, step): (usize, &'a TestStep)| {
        let sent = sent(&step.request, &step.command)?;
        let after = step.after.map(|after| after.get()).unwrap_or_default();
        let pointer = format!("{pointer}/steps/{index}");
        Some(Step { pointer, after, sent, times: times(step.times), expect: &step.expect })
    };
    alone().into_iter().chain(test.steps.iter().enumerate().filter_map(step)).collect()
}

/// A test under way.
struct Running {
    rehearsal: Rehearsal,
    signer: Signer,
    sent: u32,
}

impl Running {
    async fn step(&mut self, step: &Step<'_>) -> Result<Vec<Failure>, SuiteFault> {
        for turn in 1..=step.times {
            let explanation = self.send(step).await?;
            let at = |pointer: &str| place(self.rehearsal.plan(), &format!("{}{pointer}", step.pointer));
            if turn == step.times {
                return Ok(compare::compare(step.expect, &explanation, &|pointer| at(&format!("/expect{pointer}"))));
            }
            if let Some(came) = stopped(&explanation) {
                let what = format!("request {turn} of {}", step.times);
                return Ok(vec![Failure { at: at("/times"), what, expected: "to be let through".to_owned(), came }]);
            }
        }
        Ok(Vec::new())
    }

    async fn send(&mut self, step: &Step<'_>) -> Result<Explanation, SuiteFault> {
        self.sent += 1;
        let config = &self.rehearsal.plan().loaded.config;
        let request = match step.sent {
            Written::Plain(request) => plain(request, config.only_listener()),
            Written::Command(command) => {
                let now_ms = self.rehearsal.now_ms();
                let age = command.age.map(|age| i64::try_from(age.get().as_millis()).unwrap_or(i64::MAX));
                let signed = Command {
                    session: command.session.clone(),
                    message_type: command.r#type.clone(),
                    payload: command.payload.as_ref().map(json).unwrap_or_default(),
                    request_id: command.request_id.clone().unwrap_or_else(|| format!("test-{}", self.sent)),
                    timestamp_ms: now_ms.saturating_sub(age.unwrap_or(0)),
                    headers: pairs(&command.headers),
                    is_forged: command.forged,
                };
                let listener = command.listener.as_deref().or_else(|| config.command_listener());
                self.signer.request(listener.unwrap_or_default(), address(command.from.as_deref()), &signed)
            }
        };
        let at = || place(self.rehearsal.plan(), &step.pointer);
        let request = request.map_err(|fault| SuiteFault::Request { at: at(), fault })?;
        Ok(self.rehearsal.explain(&request).await)
    }
}

fn stopped(explanation: &Explanation) -> Option<String> {
    match &explanation.upshot {
        Upshot::Refused { reason, detail, .. } => Some(format!("{reason}: {detail}")),
        Upshot::Undecided { why } => Some(why.clone()),
        Upshot::Forwarded { .. } | Upshot::Answered { .. } | Upshot::Opened { .. } => None,
    }
}

fn plain(request: &TestRequest, only_listener: Option<&str>) -> Result<Request, RequestFault> {
    let asked = request.asked();
    let (method, target) = asked.first().copied().unwrap_or(("get", "/"));
    let mut headers = pairs(&request.headers);
    let is_typed = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    if request.json.is_some() && !is_typed {
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
    }
    let body = match (&request.json, &request.body) {
        (Some(written), _) => json(written),
        (None, Some(text)) => Bytes::from(text.clone()),
        (None, None) => Bytes::new(),
    };
    let parts = Parts {
        method: method.to_ascii_uppercase(),
        target: target.to_owned(),
        host: request.host.clone(),
        headers,
        body,
        is_http2: false,
    };
    let listener = request.listener.as_deref().or(only_listener).unwrap_or_default();
    Request::new(listener, address(request.from.as_deref()), parts)
}

fn answers(loaded: &Loaded, test: &Test, signer: &Signer) -> Answers {
    let config = &loaded.config;
    let nothing = TestAnswer::default();
    let answer = |name: &String| (name.clone(), given(test.upstreams.get(name).unwrap_or(&nothing)));
    let mut sessions: BTreeMap<String, Given> =
        test.sessions.iter().map(|(id, written)| (id.clone(), session(id, written, signer))).collect();
    if test.sessions.is_empty() {
        let commands = test.command.iter().chain(test.steps.iter().filter_map(|step| step.command.as_ref()));
        let known = |command: &TestCommand| {
            let id = &command.session;
            (id.clone(), session(id, &TestSession::default(), signer))
        };
        sessions = commands.map(known).collect();
    }
    Answers { lookups: Lookups::ById(sessions), upstreams: config.upstreams.keys().map(answer).collect() }
}

fn session(id: &str, written: &TestSession, signer: &Signer) -> Given {
    let user_id = written.user_id.as_deref().unwrap_or(id);
    let without = |status| Given { status, headers: HeaderMap::new(), body: Bytes::new() };
    match written.status {
        TestStatus::Active => signer.session(id, user_id, "active"),
        TestStatus::Revoked => signer.session(id, user_id, "revoked"),
        TestStatus::Unknown => without(StatusCode::NOT_FOUND),
        TestStatus::Unavailable => without(StatusCode::SERVICE_UNAVAILABLE),
    }
}

fn given(written: &TestAnswer) -> Given {
    let status = StatusCode::from_u16(written.status).unwrap_or(StatusCode::OK);
    let empty = Json::Object(serde_json::Map::new());
    let mut given = Given::json(status, written.json.as_ref().unwrap_or(&empty));
    for (name, value) in &written.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            given.headers.insert(name, value);
        }
    }
    given
}

fn pairs(headers: &BTreeMap<String, String>) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn json(written: &Json) -> Bytes {
    written.to_string().into()
}

fn address(from: Option<&str>) -> IpAddr {
    from.and_then(|from| from.parse().ok()).unwrap_or(SOMEBODY)
}
