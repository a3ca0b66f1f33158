//! A command's REST call, and what of its answer may be signed.

use crate::{
    plan::commands::RestCall,
    upstream::{Answer, CallFault, Upstream},
};
use bytes::Bytes;
use filters::api::{Reason, Refusal, SessionRecord};
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Uri,
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
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
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

/// Sends the call, and takes the answer where it may be signed: 2xx and 4xx.
///
/// # Errors
/// `BACKEND_TIMEOUT` or `BACKEND_UNAVAILABLE`: nothing of such an answer is signed.
pub async fn send(
    upstream: &Upstream,
    call: RestCall,
    command: &ExecuteCommandRequest,
    session: &SessionRecord,
    headers: &HeaderMap,
    deadline: Option<Instant>,
) -> Result<Signable, Refusal> {
    let request = request(call, command, session, headers).map_err(|error| {
        tracing::error!(%error, "a command gave no request");
        Refusal::new(Reason::Internal)
    })?;
    let deadline = deadline.unwrap_or_else(|| Instant::now() + CALL_MAX);
    let answer = upstream.call(request, deadline).await.map_err(|fault| {
        tracing::warn!(%fault, upstream = upstream.name(), "a command was not answered");
        Refusal::new(match fault {
            CallFault::Timeout { .. } => Reason::BackendTimeout,
            CallFault::Unreachable { .. } | CallFault::Broken { .. } | CallFault::TooLarge { .. } => {
                Reason::BackendUnavailable
            }
        })
    })?;
    signable(answer)
}

fn request(
    call: RestCall,
    command: &ExecuteCommandRequest,
    session: &SessionRecord,
    client: &HeaderMap,
) -> Result<Request<Full<Bytes>>, http::Error> {
    let has_body = !call.body.is_empty();
    let mut request = Request::new(Full::new(call.body));
    *request.method_mut() = call.method;
    *request.uri_mut() = Uri::try_from(call.target)?;
    let headers = request.headers_mut();
    // With room for the host too.
    headers.reserve(8);
    headers.insert(X_USER_ID, session.user_id.as_str().try_into()?);
    headers.insert(X_DEVICE_SESSION_ID, session.device_session_id.as_str().try_into()?);
    headers.insert(X_REQUEST_ID, command.request_id.as_str().try_into()?);
    headers.insert(TRACEPARENT, traceparent(client).try_into()?);
    headers.insert(ACCEPT, JSON);
    if has_body {
        headers.insert(CONTENT_TYPE, JSON);
    } else if call.takes_body {
        // RFC 9110 section 8.6: some backends answer 411 to a POST that does not say that it has no body.
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    Ok(request)
}

/// The client's `traceparent` where it is valid, which two are not (W3C Trace Context section 3.2); otherwise a new
/// one.
fn traceparent(headers: &HeaderMap) -> String {
    let mut given = headers.get_all("traceparent").iter();
    let one = match (given.next(), given.next()) {
        (Some(one), None) => one.to_str().ok(),
        _ => None,
    };
    match one.filter(|value| is_traceparent(value)) {
        Some(value) => value.to_owned(),
        None => format!("00-{:032x}-{:016x}-01", fastrand::u128(1..), fastrand::u64(1..)),
    }
}

fn is_traceparent(value: &str) -> bool {
    let is_hex = |part: &str, digits: usize| {
        part.len() == digits && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_zero = |part: &str| part.bytes().all(|byte| byte == b'0');
    let parts: Vec<&str> = value.splitn(5, '-').collect();
    match parts.as_slice() {
        // A later version may append more; version 00 has exactly these four parts.
        [version, trace, span, flags, rest @ ..] => {
            is_hex(version, 2)
                && *version != "ff"
                && (rest.is_empty() || *version != "00")
                && is_hex(trace, 32)
                && !is_zero(trace)
                && is_hex(span, 16)
                && !is_zero(span)
                && is_hex(flags, 2)
                && value.len() <= 128
        }
        _ => false,
    }
}

fn signable(answer: Answer) -> Result<Signable, Refusal> {
    let status = answer.status;
    if status.is_success() {
        return Ok(Signable { result_code: "ok".to_owned(), payload: answer.body });
    }
    if !status.is_client_error() {
        tracing::warn!(%status, "a backend's answer cannot be signed");
        return Err(Refusal::new(Reason::BackendUnavailable));
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
    use http::StatusCode;

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
    fn a_valid_traceparent_is_continued() {
        let valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        for (values, is_valid) in [
            (&[valid][..], true),
            (&["cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more"], true),
            (&["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more"], false),
            (&["ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"], false),
            (&["00-00000000000000000000000000000000-00f067aa0ba902b7-01"], false),
            (&["00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"], false),
            (&["00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"], false),
            (&["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01,"], false),
            (&[valid, valid], false),
            (&[valid, "none"], false),
            (&["none", valid], false),
            (&[""], false),
            (&[], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("traceparent", HeaderValue::from_static(value));
            }
            let sent = traceparent(&headers);
            assert!(is_traceparent(&sent));
            assert_eq!(values.contains(&sent.as_str()), is_valid, "{values:?}");
        }
    }
}
