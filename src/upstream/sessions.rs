//! Device sessions, looked up at a backend.

use super::{Answer, Upstream, encode_value};
use crate::config::spelling::climbs;
use bytes::Bytes;
use ed25519_dalek::VerifyingKey;
use filters::{
    api::{LookupFault, SessionLookup, SessionRecord, SessionStatus},
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

/// Parsed keys by their base64. What it keeps is true for ever, so it never ages; when it is full it starts anew.
#[derive(Default)]
struct Keys(Mutex<HashMap<String, Option<VerifyingKey>>>);

impl Keys {
    fn parse(&self, base64: &str) -> Result<Option<VerifyingKey>, LookupFault> {
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = known().get(base64) {
            return Ok(*key);
        }
        let key = parse_key(base64).map_err(|_| LookupFault("an undecodable key".to_owned()))?;
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
    keys: Arc<Keys>,
}

#[derive(Deserialize)]
struct Found {
    device_session_id: String,
    user_id: String,
    status: String,
    client_public_key: String,
}

impl BackendSessions {
    /// Looks sessions up at `path` of `upstream`, each look-up within `timeout`.
    #[must_use]
    pub fn new(upstream: Arc<Upstream>, path: &str, timeout: Duration) -> Self {
        let (before_id, after_id) = path.split_once("{id}").unwrap_or((path, ""));
        Self { upstream, before_id: before_id.to_owned(), after_id: after_id.to_owned(), timeout, keys: Arc::default() }
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
        let (upstream, keys, timeout) = (Arc::clone(&self.upstream), Arc::clone(&self.keys), self.timeout);
        Box::pin(async move {
            let request = Request::get(path).body(Full::<Bytes>::default()).map_err(|e| LookupFault(e.to_string()))?;
            let answer = upstream.call(request, Instant::now() + timeout).await;
            read(&id, &answer.map_err(|fault| LookupFault(fault.to_string()))?, &keys)
        })
    }
}

fn read(id: &str, answer: &Answer, keys: &Keys) -> Result<Option<Arc<SessionRecord>>, LookupFault> {
    match answer.status {
        StatusCode::NOT_FOUND => return Ok(None),
        StatusCode::OK => {}
        other => return Err(LookupFault(format!("status {other}"))),
    }
    let found: Found = serde_json::from_slice(&answer.body).map_err(|e| LookupFault(format!("no session: {e}")))?;
    if found.device_session_id != id {
        return Err(LookupFault("the session of another id".to_owned()));
    }
    if found.user_id.is_empty() || !found.user_id.bytes().all(|b| (0x21..=0x7e).contains(&b)) {
        return Err(LookupFault("a user_id that no header can carry".to_owned()));
    }
    let status = match found.status.as_str() {
        "active" => SessionStatus::Active,
        "revoked" => SessionStatus::Revoked,
        _ => return Err(LookupFault("an unknown status".to_owned())),
    };
    let key = keys.parse(&found.client_public_key)?;
    Ok(Some(Arc::new(SessionRecord {
        device_session_id: found.device_session_id,
        user_id: found.user_id,
        status,
        key,
    })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;

    const KEY: &str = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";

    fn session(id: &str, user: &str, status: &str, key: &str) -> String {
        format!(r#"{{"device_session_id":"{id}","user_id":"{user}","status":"{status}","client_public_key":"{key}"}}"#)
    }

    fn outcome(status: u16, body: &str) -> &'static str {
        let status = StatusCode::from_u16(status).unwrap();
        let answer = Answer { status, headers: HeaderMap::new(), body: Bytes::copy_from_slice(body.as_bytes()) };
        match read("s-1", &answer, &Keys::default()) {
            Ok(None) => "unknown",
            Ok(Some(found)) if found.status == SessionStatus::Revoked => "revoked",
            Ok(Some(found)) if found.key.is_none() => "active without a usable key",
            Ok(Some(_)) => "active",
            Err(_) => "fault",
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
            (200, session("s-2", "u-1", "active", KEY), "fault"),
            (200, session("s-1", "u-1", "asleep", KEY), "fault"),
            (200, session("s-1", "", "active", KEY), "fault"),
            (200, session("s-1", "u\\r\\nx: y", "active", KEY), "fault"),
            (200, session("s-1", "u-1", "active", "no key"), "fault"),
            (200, session("s-1", "u-1", "active", "AAAA"), "fault"),
            (200, "{}".to_owned(), "fault"),
            (200, "<html>".to_owned(), "fault"),
            (204, String::new(), "fault"),
            (302, String::new(), "fault"),
            (500, session("s-1", "u-1", "active", KEY), "fault"),
        ] {
            assert_eq!(outcome(status, &body), expected, "{status} {body}");
        }
    }
}
