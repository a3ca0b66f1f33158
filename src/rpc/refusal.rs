//! Refusals in the words of the RPC protocols.

use super::Response;
use crate::proxy::{context::RequestContext, reply};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use bytes::Bytes;
use connectrpc::{ConnectError, ErrorCode, ErrorDetail};
use filters::api::{Facts, Reason, Refusal, RpcCode};
use http::{
    HeaderMap, HeaderValue,
    header::{ALLOW, RETRY_AFTER},
};
use http_body_util::BodyExt as _;
use prost::Message;
use proto::google::rpc::{ErrorInfo, RetryInfo};

const DOMAIN: &str = "edge.v1";

/// The error that says this refusal, with its details and what every answer carries.
#[must_use]
pub fn to_error(refusal: &Refusal, facts: &Facts) -> ConnectError {
    let info =
        ErrorInfo { reason: refusal.reason.as_str().to_owned(), domain: DOMAIN.to_owned(), ..ErrorInfo::default() };
    let mut error = ConnectError::new(code(refusal.reason.rpc_code()), refusal.detail.clone())
        .with_detail(detail("google.rpc.ErrorInfo", &info));
    let mut headers = answer_headers(facts);
    if let Some(seconds) = refusal.retry_after_seconds {
        let delay = prost_types::Duration { seconds: i64::try_from(seconds).unwrap_or(i64::MAX), nanos: 0 };
        error = error.with_detail(detail("google.rpc.RetryInfo", &RetryInfo { retry_delay: Some(delay) }));
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(allow) = refusal.allow.as_deref().and_then(|allow| allow.parse().ok()) {
        headers.insert(ALLOW, allow);
    }
    let status = refusal.reason.http_status();
    // Where HTTP has a status of its own for it, Connect clients get that one; else the protocol's.
    if matches!(refusal.reason, Reason::MethodNotAllowed | Reason::MediaTypeUnsupported | Reason::RouteUnknown)
        && let Ok(status) = http::StatusCode::from_u16(status)
    {
        error = error.with_http_status(status);
    }
    error.with_headers(headers)
}

/// What every answer carries: budgets, request id, CORS.
#[must_use]
pub fn answer_headers(facts: &Facts) -> HeaderMap {
    let mut headers = HeaderMap::new();
    reply::add_common(facts, &mut headers);
    headers
}

/// Puts our reason to an error that connectrpc answered by itself, so that no refusal goes without one.
pub async fn explained(
    response: Response,
    was_called: bool,
    ctx: &RequestContext,
    request_headers: &HeaderMap,
) -> (Response, Option<Reason>) {
    let (head, mut body) = response.into_parts();
    let mut frames = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        frames.push(frame);
    }
    let data: Vec<&Bytes> = frames.iter().filter_map(|frame| frame.data_ref()).collect();
    let trailers = frames.iter().find_map(|frame| frame.trailers_ref());
    let text: String = data.iter().map(|bytes| String::from_utf8_lossy(bytes)).collect();
    let code =
        [Some(&head.headers), trailers].into_iter().flatten().find_map(grpc_code).or_else(|| written_code(&text));
    let reason = match code {
        Some(ErrorCode::ResourceExhausted) => Reason::MessageTooLarge,
        Some(ErrorCode::DeadlineExceeded) if was_called => Reason::BackendTimeout,
        Some(ErrorCode::DeadlineExceeded) => Reason::RequestTimeout,
        Some(ErrorCode::Unimplemented) => Reason::MediaTypeUnsupported,
        Some(ErrorCode::Internal) if was_called => Reason::Internal,
        _ if head.status == http::StatusCode::UNSUPPORTED_MEDIA_TYPE => Reason::MediaTypeUnsupported,
        _ => Reason::EnvelopeInvalid,
    };
    let refusal = Refusal::new(reason);
    let headers = super::caller::binary(request_headers);
    (to_error(&refusal, &ctx.facts).into_http_response(&headers), Some(reason))
}

fn grpc_code(headers: &HeaderMap) -> Option<ErrorCode> {
    ErrorCode::from_grpc_code(headers.get("grpc-status")?.to_str().ok()?.parse().ok()?)
}

/// The code in a Connect error (`"code":"…"`) or in gRPC-Web's trailers (`grpc-status: N`).
fn written_code(text: &str) -> Option<ErrorCode> {
    let after = |mark: &str| text.split_once(mark).map(|(_, after)| after);
    let connect = after("\"code\":\"").and_then(|rest| rest.split('"').next()).and_then(|code| code.parse().ok());
    let web = || {
        let digits: String = after("grpc-status:")?.trim_start().chars().take_while(char::is_ascii_digit).collect();
        ErrorCode::from_grpc_code(digits.parse().ok()?)
    };
    connect.or_else(web)
}

fn detail(type_url: &str, message: &impl Message) -> ErrorDetail {
    ErrorDetail {
        type_url: type_url.to_owned(),
        value: Some(STANDARD_NO_PAD.encode(message.encode_to_vec())),
        debug: None,
    }
}

fn code(code: RpcCode) -> ErrorCode {
    match code {
        RpcCode::InvalidArgument => ErrorCode::InvalidArgument,
        RpcCode::DeadlineExceeded => ErrorCode::DeadlineExceeded,
        RpcCode::AlreadyExists => ErrorCode::AlreadyExists,
        RpcCode::PermissionDenied => ErrorCode::PermissionDenied,
        RpcCode::ResourceExhausted => ErrorCode::ResourceExhausted,
        RpcCode::FailedPrecondition => ErrorCode::FailedPrecondition,
        RpcCode::Unimplemented => ErrorCode::Unimplemented,
        RpcCode::Internal => ErrorCode::Internal,
        RpcCode::Unavailable => ErrorCode::Unavailable,
        RpcCode::Unauthenticated => ErrorCode::Unauthenticated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_found_where_each_protocol_writes_them() {
        for (text, expected) in [
            (r#"{"code":"resource_exhausted","message":"x"}"#, Some(ErrorCode::ResourceExhausted)),
            (r#"{"error":{"code":"invalid_argument"}}"#, Some(ErrorCode::InvalidArgument)),
            ("\u{80}\0\0\0\u{10}grpc-status: 12\r\ngrpc-message: x", Some(ErrorCode::Unimplemented)),
            ("grpc-status:8\r\n", Some(ErrorCode::ResourceExhausted)),
            ("", None),
        ] {
            assert_eq!(written_code(text), expected, "{text}");
        }
    }
}
