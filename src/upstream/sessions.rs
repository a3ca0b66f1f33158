//! Device sessions, looked up at a backend.

use super::{Answer, Track, Upstream, answer_status, encode_value};
use crate::config::spelling::climbs;
use crate::telemetry::rarely::Rarely;
use bytes::Bytes;
use ed25519_dalek::VerifyingKey;
use filters::{
    api::{Fault, LookupFault, SessionLookup, SessionRecord, SessionStatus},
    signature::parse_key,
};
use futures_util::future::BoxFuture;
use http::{Request, StatusCode};
use http_body_util::Full;
use serde::Deserialize;
use std::{
    collections::HashMap,
    future::ready,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Keys that are kept parsed. A key takes some 300 bytes; one that is not kept costs 20 µs to parse.
const KEYS_MAX: usize = 16_384;

/// A backend that is down fails every lookup.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// Parsed keys by their base64. What it keeps is true for ever, so it never ages; when it is full it starts anew.
#[derive(Default)]
struct Keys(Mutex<HashMap<String, Option<VerifyingKey>>>);

impl Keys {
    fn parse(&self, base64: &str) -> Result<Option<VerifyingKey>, LookupFault> {
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = known().get(base64) {
            return Ok(*key);
        }
        let key =
            parse_key(base64).map_err(|fault| malformed(format!("`client_public_key` cannot be used: {fault}")))?;
        let mut keys = known();
        if keys.len() >= KEYS_MAX {
            keys.clear();
        }
        keys.insert(base64.to_owned(), key);
        Ok(key)
    }
}

/// `GET {path}` with the session's id in place of `{id}`: 200 with the session, 404 where there is none.
pub struct BackendSessions {
    upstream: Arc<Upstream>,
    before_id: String,
    after_id: String,
    timeout: Duration,
    shared: Arc<Shared>,
}

/// What all look-ups have in common.
struct Shared {
    name: String,
    keys: Keys,
    warned: Rarely,
}

#[derive(Deserialize)]
struct Found {
    device_session_id: String,
    user_id: String,
    status: String,
    client_public_key: String,
}

impl BackendSessions {
    /// Looks sessions up at `path` of `upstream`, each look-up within `timeout`. What goes wrong is logged under `name`,
    /// once a minute.
    #[must_use]
    pub fn new(name: &str, upstream: Arc<Upstream>, path: &str, timeout: Duration) -> Self {
        let shared = Shared { name: name.to_owned(), keys: Keys::default(), warned: Rarely::new(WARN_EVERY) };
        let shared = Arc::new(shared);
        let (before_id, after_id) = path.split_once("{id}").unwrap_or((path, ""));
        Self { upstream, before_id: before_id.to_owned(), after_id: after_id.to_owned(), timeout, shared }
    }
}

impl Shared {
    fn warn(&self, fault: &Fault, upstream: &str) {
        let Some(more) = self.warned.due(std::time::Instant::now()) else { return };
        let (sessions, detail) = (&self.name, &fault.what);
        let fault = fault.kind;
        tracing::warn!(sessions, upstream, fault, detail, more, "a session lookup gave no usable answer");
    }
}

impl SessionLookup for BackendSessions {
    fn find(&self, device_session_id: &str) -> BoxFuture<'static, Result<Option<Arc<SessionRecord>>, LookupFault>> {
        // No session has an id that some backend takes for another path, and so another resource.
        if climbs(device_session_id) {
            return Box::pin(ready(Ok(None)));
        }
        let id = device_session_id.to_owned();
        let path = format!("{}{}{}", self.before_id, encode_value(&id), self.after_id);
        let (upstream, shared, timeout) = (Arc::clone(&self.upstream), Arc::clone(&self.shared), self.timeout);
        Box::pin(async move {
            let request = Request::get(path).body(Full::<Bytes>::default());
            let request = request.map_err(|error| LookupFault::new("no_request", error.to_string()))?;
            let answer = upstream.call(request, Instant::now() + timeout, &mut Track::default()).await;
            let found =
                answer.map_err(|fault| LookupFault(fault.into())).and_then(|answer| read(&id, &answer, &shared.keys));
            found.inspect_err(|LookupFault(fault)| shared.warn(fault, upstream.name()))
        })
    }
}

fn read(id: &str, answer: &Answer, keys: &Keys) -> Result<Option<Arc<SessionRecord>>, LookupFault> {
    match answer.status {
        StatusCode::NOT_FOUND => return Ok(None),
        StatusCode::OK => {}
        other => return Err(LookupFault(answer_status(other))),
    }
    let found: Found = serde_json::from_slice(&answer.body).map_err(|_| shape(&answer.body))?;
    if found.device_session_id != id {
        return Err(malformed("`device_session_id` is another than was asked for"));
    }
    if found.user_id.is_empty() || !found.user_id.bytes().all(|b| (0x21..=0x7e).contains(&b)) {
        return Err(malformed("`user_id` is empty, or has characters that no header can carry"));
    }
    let status = match found.status.as_str() {
        "active" => SessionStatus::Active,
        "revoked" => SessionStatus::Revoked,
        _ => return Err(malformed("`status` is neither `active` nor `revoked`")),
    };
    let key = keys.parse(&found.client_public_key)?;
    Ok(Some(Arc::new(SessionRecord {
        device_session_id: found.device_session_id,
        user_id: found.user_id,
        status,
        key,
    })))
}

fn malformed(what: impl Into<String>) -> LookupFault {
    LookupFault::new("answer_malformed", what)
}

/// Why a body holds no session. No value of it is said: it may be anybody's.
fn shape(body: &[u8]) -> LookupFault {
    let answer = match serde_json::from_slice(body) {
        Ok(serde_json::Value::Object(answer)) => answer,
        Ok(_) => return malformed("the answer is no JSON object"),
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            return LookupFault::new("answer_not_json", format!("the answer is no JSON: line {line}, column {column}"));
        }
    };
    for name in ["device_session_id", "user_id", "status", "client_public_key"] {
        match answer.get(name) {
            None => return malformed(format!("the answer lacks `{name}`")),
            Some(serde_json::Value::String(_)) => {}
            Some(_) => return malformed(format!("`{name}` of the answer is no string")),
        }
    }
    malformed("the answer has a field twice")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;

    const NO_USER: &str = "answer_malformed: `user_id` is empty, or has characters that no header can carry";
    const NO_BASE64: &str = "answer_malformed: `client_public_key` cannot be used: the key is not standard base64";
    const NO_LENGTH: &str = "answer_malformed: `client_public_key` cannot be used: the key has 3 bytes and not 32";
    const KEY: &str = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";

    fn session(id: &str, user: &str, status: &str, key: &str) -> String {
        format!(r#"{{"device_session_id":"{id}","user_id":"{user}","status":"{status}","client_public_key":"{key}"}}"#)
    }

    fn outcome(status: u16, body: &str) -> String {
        let status = StatusCode::from_u16(status).unwrap();
        let answer = Answer { status, headers: HeaderMap::new(), body: Bytes::copy_from_slice(body.as_bytes()) };
        match read("s-1", &answer, &Keys::default()) {
            Ok(None) => "unknown".to_owned(),
            Ok(Some(found)) if found.status == SessionStatus::Revoked => "revoked".to_owned(),
            Ok(Some(found)) if found.key.is_none() => "active without a usable key".to_owned(),
            Ok(Some(_)) => "active".to_owned(),
            Err(LookupFault(fault)) => format!("{}: {fault}", fault.kind),
        }
    }

    #[test]
    fn only_a_whole_and_fitting_answer_is_a_session() {
        let small_order = "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        // y = p + 3: a second spelling of a point that is not of small order.
        let not_canonical = "8P///////////////////////////////////////38=";
        for (status, body, expected) in [
            (200, session("s-1", "u-1", "active", KEY), "active"),
            (200, session("s-1", "u-1", "revoked", KEY), "revoked"),
            (200, session("s-1", "u-1", "active", small_order), "active without a usable key"),
            (200, session("s-1", "u-1", "active", not_canonical), "active without a usable key"),
            (404, String::new(), "unknown"),
            (
                200,
                session("s-2", "u-1", "active", KEY),
                "answer_malformed: `device_session_id` is another than was asked for",
            ),
            (200, session("s-1", "u-1", "asleep", KEY), "answer_malformed: `status` is neither `active` nor `revoked`"),
            (200, session("s-1", "", "active", KEY), NO_USER),
            (200, session("s-1", "u\\r\\nx: y", "active", KEY), NO_USER),
            (200, session("s-1", "u-1", "active", "no key"), NO_BASE64),
            (200, session("s-1", "u-1", "active", "AAAA"), NO_LENGTH),
            (200, "{}".to_owned(), "answer_malformed: the answer lacks `device_session_id`"),
            (
                200,
                r#"{"device_session_id":"s-1","user_id":"u","status":"active"}"#.to_owned(),
                "answer_malformed: the answer lacks `client_public_key`",
            ),
            (
                200,
                r#"{"device_session_id":"s-1","user_id":7}"#.to_owned(),
                "answer_malformed: `user_id` of the answer is no string",
            ),
            (
                200,
                session("s-1", "u", "active", KEY).replace('{', r#"{"status":"active","#),
                "answer_malformed: the answer has a field twice",
            ),
            (200, "[]".to_owned(), "answer_malformed: the answer is no JSON object"),
            (200, "<html>".to_owned(), "answer_not_json: the answer is no JSON: line 1, column 1"),
            (204, String::new(), "answer_status: the answer's status is 204"),
            (302, String::new(), "answer_status: the answer's status is 302, and redirects are not followed"),
            (500, session("s-1", "u-1", "active", KEY), "answer_status: the answer's status is 500"),
        ] {
            assert_eq!(outcome(status, &body), expected, "{status} {body}");
        }
    }
}
