//! Requests that end here although a backend could have them: `OPTIONS *`, and those with `Max-Forwards: 0`.

use super::context::RequestContext;
use crate::{listener::head::HeadRefusal, plan::Route};
use filters::{api::HeaderEdits, chain::Stop};
use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{ALLOW, MAX_FORWARDS},
};
use pingora_http::RequestHeader;

/// Whether it asks what the gateway as a whole takes (RFC 9110 section 9.3.7). No backend can answer that.
pub(super) fn is_for_the_server(header: &RequestHeader) -> bool {
    header.method == Method::OPTIONS && header.raw_path() == b"*"
}

/// The answer to it.
pub(super) fn for_the_server(answer: &mut HeaderEdits) -> StatusCode {
    answer.set(ALLOW, HeaderValue::from_static(HeadRefusal::METHODS));
    StatusCode::NO_CONTENT
}

/// What is said to a request that may not be forwarded (RFC 9110 section 7.6.2): its chain has let it pass.
pub(crate) fn last_stop(header: &RequestHeader, ctx: &mut RequestContext, route: &Route) -> Option<Stop> {
    if !counts(&header.method) || forwards(&header.headers) != Some(0) {
        return None;
    }
    if header.method == Method::TRACE {
        return Some(Stop::Refused(HeadRefusal::unserved("TRACE is not served here").refusal));
    }
    let taken: Vec<&str> = route.matcher.methods.iter().map(Method::as_str).collect();
    let allow = if taken.is_empty() { HeadRefusal::METHODS.to_owned() } else { taken.join(", ") };
    if let Ok(allow) = HeaderValue::try_from(allow) {
        ctx.facts.downstream_headers.set(ALLOW, allow);
    }
    Some(Stop::Answered(StatusCode::NO_CONTENT))
}

/// Counts one stop on the way to the backend.
pub(super) fn count_down(method: &Method, headers: &mut HeaderMap) {
    if counts(method)
        && let Some(left) = forwards(headers)
    {
        headers.insert(MAX_FORWARDS, left.saturating_sub(1).into());
    }
}

/// Other methods may come with the header, and it says nothing to them.
fn counts(method: &Method) -> bool {
    matches!(*method, Method::OPTIONS | Method::TRACE)
}

/// How often it may still be forwarded; `None` where that is not said, or not in digits.
fn forwards(headers: &HeaderMap) -> Option<u64> {
    let digits = headers.get(MAX_FORWARDS)?.to_str().ok()?;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    // More digits than a number has are as good as the largest.
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}
