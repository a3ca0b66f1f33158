//! A command's REST call, and what of its answer may be signed.

use crate::{
    plan::{commands::RestCall, identity::GATEWAY_REQUEST_ID},
    proxy::trace::TRACEPARENT,
    upstream::{Answer, CallFault, Track, Upstream, answer_status},
};
use bytes::Bytes;
use filters::api::{HeaderEdit, HeaderEdits, Reason, Refusal, SessionRecord, is_disguise};
use http::{
    HeaderName, HeaderValue, Request, Uri,
    header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE},
};
use http_body_util::Full;
use proto::edge::v1::ExecuteCommandRequest;
use serde::Deserialize;
use std::time::Duration;
use tokio::time::Instant;

const X_USER_ID: HeaderName = HeaderName::from_static("x-user-id");
const X_DEVICE_SESSION_ID: HeaderName = HeaderName::from_static("x-device-session-id");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// What only the gateway says to a command's backend.
static OWN: [HeaderName; 7] =
    [X_USER_ID, X_DEVICE_SESSION_ID, X_REQUEST_ID, TRACEPARENT, ACCEPT, CONTENT_TYPE, CONTENT_LENGTH];
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What is signed of a backend's answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Signable {
    /// `ok`, or the backend's error code.
    pub result_code: String,
    /// The answer's body.
    pub payload: Bytes,
}

/// The longest that a call may take whatever the client says; the upstream's own limit is shorter.
const CALL_MAX: Duration = Duration::from_secs(3600);

/// What a backend is told beside the call itself.
pub struct Told<'a> {
    /// The command.
    pub command: &'a ExecuteCommandRequest,
    /// Who gives it.
    pub session: &'a SessionRecord,
    /// The trace that it belongs to.
    pub traceparent: HeaderValue,
    /// The filters' changes.
    pub edits: &'a HeaderEdits,
}

/// What becomes of a filter's change to the backend's headers in the call of a command. `X-Request-Id` is the
/// command's own there, so that the gateway's id goes as `X-Gateway-Request-Id`; and no filter writes what the gateway
/// alone says.
#[must_use]
pub fn carried(edit: &HeaderEdit) -> Option<HeaderEdit> {
    let (HeaderEdit::Set(name, _) | HeaderEdit::Append(name, _) | HeaderEdit::Remove(name)) = edit;
    if *name == X_REQUEST_ID {
        return Some(match edit.clone() {
            HeaderEdit::Set(_, value) => HeaderEdit::Set(GATEWAY_REQUEST_ID, value),
            HeaderEdit::Append(_, value) => HeaderEdit::Append(GATEWAY_REQUEST_ID, value),
            HeaderEdit::Remove(_) => HeaderEdit::Remove(GATEWAY_REQUEST_ID),
        });
    }
    let is_own = OWN.iter().any(|own| own == name || is_disguise(name, own));
    (!is_own).then(|| edit.clone())
}

/// Sends the call, and takes the answer where it may be signed: 2xx and 4xx. `track` is told where it went.
///
/// # Errors
/// `BACKEND_TIMEOUT` or `BACKEND_UNAVAILABLE`: nothing of such an answer is signed.
pub async fn send(
    upstream: &Upstream,
    call: RestCall,
    told: Told<'_>,
    deadline: Option<Instant>,
    track: &mut Track,
) -> Result<Signable, Refusal> {
    let request = request(call, told).map_err(|error| {
        tracing::error!(%error, "a command gave no request");
        Refusal::new(Reason::Internal)
    })?;
    let deadline = deadline.unwrap_or_else(|| Instant::now() + CALL_MAX);
    let answer = upstream.call(request, deadline, track).await.map_err(|fault| {
        tracing::warn!(%fault, upstream = upstream.name(), "a command was not answered");
        let reason = match fault {
            CallFault::Timeout { .. } => Reason::BackendTimeout,
            CallFault::Unreachable { .. }
            | CallFault::Broken { .. }
            | CallFault::Malformed { .. }
            | CallFault::TooLarge { .. } => Reason::BackendUnavailable,
        };
        Refusal::new(reason).for_fault(fault.into())
    })?;
    signable(answer).inspect_err(|refusal| {
        let fault = refusal.fault.as_ref().map(tracing::field::display);
        tracing::warn!(fault, upstream = upstream.name(), "a backend's answer cannot be signed");
    })
}

fn request(call: RestCall, told: Told<'_>) -> Result<Request<Full<Bytes>>, http::Error> {
    let Told { command, session, traceparent, edits } = told;
    let has_body = !call.body.is_empty();
    let mut request = Request::new(Full::new(call.body));
    *request.method_mut() = call.method;
    *request.uri_mut() = Uri::try_from(call.target)?;
    let headers = request.headers_mut();
    // With room for the host too.
    headers.reserve(10);
    edits.iter().filter_map(carried).for_each(|edit| edit.apply_to(headers));
    headers.insert(X_USER_ID, session.user_id.as_str().try_into()?);
    headers.insert(X_DEVICE_SESSION_ID, session.device_session_id.as_str().try_into()?);
    headers.insert(X_REQUEST_ID, command.request_id.as_str().try_into()?);
    headers.insert(TRACEPARENT, traceparent);
    headers.insert(ACCEPT, JSON);
    if has_body {
        headers.insert(CONTENT_TYPE, JSON);
    } else if call.takes_body {
        // RFC 9110 section 8.6: some backends answer 411 to a POST that does not say that it has no body.
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    Ok(request)
}

fn signable(answer: Answer) -> Result<Signable, Refusal> {
    let status = answer.status;
    if status.is_success() {
        return Ok(Signable { result_code: "ok".to_owned(), payload: answer.body });
    }
    if !status.is_client_error() {
        return Err(Refusal::new(Reason::BackendUnavailable).for_fault(answer_status(status)));
    }
    let result_code = error_code(&answer.body).unwrap_or_else(|| format!("http_{}", status.as_u16()));
    Ok(Signable { result_code, payload: answer.body })
}

/// `error.code` or `code` of a JSON body, where it is a code and cannot be taken for success.
fn error_code(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Body {
        error: Option<serde_json::Value>,
        code: Option<serde_json::Value>,
    }
    let body: Body = serde_json::from_slice(body).ok()?;
    let nested = body.error.as_ref().and_then(|error| error.get("code"));
    let is_code = |code: &&str| {
        (1..=64).contains(&code.len())
            && *code != "ok"
            && code.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
    };
    nested.or(body.code.as_ref())?.as_str().filter(is_code).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use filters::api::SessionStatus;
    use http::{HeaderMap, Method, StatusCode};

    fn outcome(status: u16, body: &str) -> String {
        let status = StatusCode::from_u16(status).unwrap();
        let answer = Answer { status, headers: HeaderMap::new(), body: Bytes::copy_from_slice(body.as_bytes()) };
        signable(answer).map_or_else(|refusal| refusal.reason.as_str().to_owned(), |signable| signable.result_code)
    }

    #[test]
    fn only_2xx_and_4xx_are_signed() {
        for (status, body, expected) in [
            (200, "{}", "ok"),
            (204, "", "ok"),
            (404, r#"{"error":{"code":"game.unknown"}}"#, "game.unknown"),
            (404, r#"{"code":"game.unknown"}"#, "game.unknown"),
            (404, r#"{"error":{"code":"a"},"code":"b"}"#, "a"),
            (404, r#"{"error":"plain","code":"b"}"#, "b"),
            (404, r#"{"error":{"code":"ok"}}"#, "http_404"),
            (422, r#"{"error":{"code":"Not A Code"}}"#, "http_422"),
            (422, r#"{"error":{"code":7}}"#, "http_422"),
            (400, "<html>", "http_400"),
            (400, "", "http_400"),
            (302, "", "BACKEND_UNAVAILABLE"),
            (500, r#"{"code":"x"}"#, "BACKEND_UNAVAILABLE"),
            (503, "", "BACKEND_UNAVAILABLE"),
        ] {
            assert_eq!(outcome(status, body), expected, "{status} {body}");
        }
    }

    #[test]
    fn the_contracts_headers_stand_over_those_of_filters() {
        let mut edits = HeaderEdits::default();
        for (name, value) in [
            ("x-request-id", "the gateway's"),
            ("x-user-id", "forged"),
            ("x_user_id", "disguised"),
            ("content-type", "text/plain"),
            ("x-tenant", "blue"),
        ] {
            edits.set(name.parse().unwrap(), HeaderValue::from_static(value));
        }
        let command = ExecuteCommandRequest { request_id: "r-1".to_owned(), ..ExecuteCommandRequest::default() };
        let session = SessionRecord {
            device_session_id: "s-1".to_owned(),
            user_id: "u-1".to_owned(),
            status: SessionStatus::Active,
            key: None,
        };
        let traceparent = HeaderValue::from_static("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        let told = Told { command: &command, session: &session, traceparent, edits: &edits };
        let call = RestCall { method: Method::POST, target: "/x".to_owned(), body: "{}".into(), takes_body: true };
        let request = request(call, told).unwrap();
        let mut sent: Vec<_> =
            request.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        sent.sort_unstable();
        assert_eq!(
            sent,
            [
                ("accept", "application/json"),
                ("content-type", "application/json"),
                ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
                ("x-device-session-id", "s-1"),
                ("x-gateway-request-id", "the gateway's"),
                ("x-request-id", "r-1"),
                ("x-tenant", "blue"),
                ("x-user-id", "u-1"),
            ]
        );
    }
}
