//! Refusals in the words of the RPC protocols.

use crate::{
    proxy::reply,
    wire::{Failure, failure::Detail},
};
use filters::api::{Facts, Reason, Refusal};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{ALLOW, RETRY_AFTER},
};
use prost::Message;
use proto::google::rpc::{ErrorInfo, RetryInfo};

const DOMAIN: &str = "edge.v1";

/// The failure that says this refusal, with its details.
#[must_use]
pub fn to_failure(refusal: &Refusal) -> Failure {
    let mut failure = Failure::new(refusal.reason.rpc_code().into(), refusal.detail.clone());
    failure.reason = Some(refusal.reason);
    failure.details.push(error_info(refusal.reason));
    if let Some(seconds) = refusal.retry_after_seconds {
        let delay = prost_types::Duration { seconds: i64::try_from(seconds).unwrap_or(i64::MAX), nanos: 0 };
        failure.details.push(detail("google.rpc.RetryInfo", &RetryInfo { retry_delay: Some(delay) }));
        failure.metadata.headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(allow) = refusal.allow.as_deref().and_then(|allow| allow.parse().ok()) {
        failure.metadata.headers.insert(ALLOW, allow);
    }
    // Where HTTP has a status of its own for it, Connect clients get that one; else the protocol's.
    if matches!(refusal.reason, Reason::MethodNotAllowed | Reason::MediaTypeUnsupported | Reason::RouteUnknown) {
        failure.http_status = StatusCode::from_u16(refusal.reason.http_status()).ok();
    }
    failure
}

/// The same failure, with the gateway's word for it as a detail.
#[must_use]
pub fn explained(mut failure: Failure) -> Failure {
    failure.details.extend(failure.reason.map(error_info));
    failure
}

/// What every answer carries: budgets, request id, CORS.
#[must_use]
pub fn answer_headers(facts: &Facts) -> HeaderMap {
    let mut headers = HeaderMap::new();
    reply::add_common(facts, &mut headers);
    headers
}

fn error_info(reason: Reason) -> Detail {
    let info = ErrorInfo { reason: reason.as_str().to_owned(), domain: DOMAIN.to_owned(), ..ErrorInfo::default() };
    detail("google.rpc.ErrorInfo", &info)
}

fn detail(name: &'static str, message: &impl Message) -> Detail {
    Detail { name: name.into(), value: message.encode_to_vec().into() }
}
