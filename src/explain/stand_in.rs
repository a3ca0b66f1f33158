//! Backends that answer what they are told to, and remember what they were asked.

use super::explanation::Sent;
use crate::{
    config::{Config, source::Sessions},
    upstream::{Answer, CallFault, FaultKind, StandIn},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use percent_encoding::percent_decode_str;
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// What a backend answers.
#[derive(Debug, Clone)]
pub struct Given {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Given {
    /// JSON with this status.
    #[must_use]
    pub fn json(status: StatusCode, json: &serde_json::Value) -> Self {
        let content_type = (http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Self { status, headers: HeaderMap::from_iter([content_type]), body: json.to_string().into() }
    }
}

/// What backends say of device sessions.
#[derive(Debug, Clone)]
pub enum Lookups {
    /// Nobody has said.
    Unknown,
    /// This, of every session.
    Always(Given),
    /// This, by the session's id. Of others: that there are none.
    ById(BTreeMap<String, Given>),
}

/// What backends answer.
#[derive(Debug, Clone)]
pub struct Answers {
    /// To session lookups.
    pub lookups: Lookups,
    /// To everything else, by the upstream's name.
    pub upstreams: BTreeMap<String, Given>,
}

/// All upstreams of a plan.
pub(super) struct Backends {
    answers: Answers,
    sessions: BTreeMap<String, Sessions>,
    asked: Mutex<Vec<Call>>,
}

/// What an upstream was asked.
pub(super) struct Call {
    pub(super) sent: Sent,
    /// Whether it was asked for a session.
    pub(super) is_lookup: bool,
    /// Whether it is known what it answers to that.
    pub(super) is_known: bool,
}

impl Backends {
    pub(super) fn new(config: &Config, answers: Answers) -> Self {
        Self { answers, sessions: config.sessions.clone(), asked: Mutex::default() }
    }

    /// What was asked since this was asked last.
    pub(super) fn take(&self) -> Vec<Call> {
        std::mem::take(&mut *self.lock())
    }

    /// What an upstream answers to whatever is no lookup, where it was said.
    pub(super) fn given(&self, upstream: &str) -> Option<&Given> {
        self.answers.upstreams.get(upstream)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Call>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session that is looked up, where it is that. Calls of commands always say whose they are.
    fn looked_up(&self, upstream: &str, request: &Request<Bytes>) -> Option<String> {
        if request.method() != Method::GET || request.headers().contains_key("x-user-id") {
            return None;
        }
        let path = request.uri().path_and_query()?.as_str();
        self.sessions.values().filter(|sessions| sessions.upstream == upstream).find_map(|sessions| {
            let (before, after) = sessions.path.split_once("{id}")?;
            let id = path.strip_prefix(before)?.strip_suffix(after)?;
            percent_decode_str(id).decode_utf8().ok().map(std::borrow::Cow::into_owned)
        })
    }

    fn session(&self, id: &str) -> Option<Given> {
        let nothing = || Given { status: StatusCode::NOT_FOUND, headers: HeaderMap::new(), body: Bytes::new() };
        match &self.answers.lookups {
            Lookups::Unknown => None,
            Lookups::Always(given) => Some(given.clone()),
            Lookups::ById(sessions) => Some(sessions.get(id).cloned().unwrap_or_else(nothing)),
        }
    }
}

impl StandIn for Backends {
    fn answer(&self, upstream: &str, request: &Request<Bytes>) -> Result<Answer, CallFault> {
        let looked_up = self.looked_up(upstream, request);
        let given =
            match &looked_up {
                Some(id) => self.session(id),
                None => Some(self.given(upstream).cloned().unwrap_or_else(|| {
                    Given::json(StatusCode::OK, &serde_json::Value::Object(serde_json::Map::new()))
                })),
            };
        let target = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let sent = Sent {
            upstream: upstream.to_owned(),
            method: request.method().to_string(),
            target: target.to_owned(),
            headers: listed(request.headers()),
            body: text(request.body()),
            message: None,
            answered: given.as_ref().map(|given| given.status.as_u16().to_string()),
        };
        self.lock().push(Call { sent, is_lookup: looked_up.is_some(), is_known: given.is_some() });
        let nobody = || CallFault::Unreachable {
            endpoint: upstream.to_owned(),
            fault: FaultKind::Refused,
            cause: "nothing is sent".to_owned(),
        };
        let Given { status, headers, body } = given.ok_or_else(nobody)?;
        Ok(Answer { status, headers, body })
    }
}

/// Headers as text.
pub(super) fn listed(headers: &HeaderMap) -> Vec<(String, String)> {
    let pair = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    headers.iter().map(pair).collect()
}

/// A body as it is shown.
pub(super) fn text(body: &[u8]) -> Option<String> {
    if body.is_empty() {
        return None;
    }
    Some(str::from_utf8(body).map_or_else(|_| format!("({} bytes that are no text)", body.len()), str::to_owned))
}
