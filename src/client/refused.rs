//! Refusals as they arrive: Connect's JSON, gRPC's trailers, problem documents.

use super::CallError;
use base64::{Engine as _, alphabet, engine};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use percent_encoding::percent_decode;
use prost::Message;
use proto::google::rpc::{ErrorInfo, RetryInfo};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Standard base64, padded or not: Connect writes details without padding, gRPC's `-bin` metadata either way.
pub(super) const BASE64: engine::GeneralPurpose = engine::GeneralPurpose::new(
    &alphabet::STANDARD,
    engine::GeneralPurposeConfig::new().with_decode_padding_mode(engine::DecodePaddingMode::Indifferent),
);

/// The status codes of gRPC by their number, in the words that Connect has for them.
const CODES: [&str; 17] = [
    "ok",
    "canceled",
    "unknown",
    "invalid_argument",
    "deadline_exceeded",
    "not_found",
    "already_exists",
    "permission_denied",
    "resource_exhausted",
    "failed_precondition",
    "aborted",
    "out_of_range",
    "unimplemented",
    "internal",
    "unavailable",
    "data_loss",
    "unauthenticated",
];

/// A refusal, whatever protocol it came in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// The status code in Connect's words, such as `resource_exhausted`; of a problem document, its title.
    pub code: String,
    /// The stable word that says why, where the refusal brings one.
    pub reason: Option<String>,
    /// For people.
    pub message: String,
    /// When the same request may pass, in seconds from now.
    pub retry_after_seconds: Option<u64>,
    /// What is left of the tightest budget.
    pub rate_limit: Option<RateLimit>,
    /// The HTTP status; 200 in gRPC and gRPC-Web, and of streams in Connect.
    pub http_status: u16,
}

/// The `X-RateLimit-*` headers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RateLimit {
    /// Requests in the window.
    pub limit: u64,
    /// What is left of them.
    pub remaining: u64,
    /// Seconds until the window is whole again.
    pub reset_seconds: u64,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, reason, message, retry_after_seconds, .. } = self;
        write!(f, "{code} {}: {message}", reason.as_deref().unwrap_or("(no reason)"))?;
        retry_after_seconds.map_or(Ok(()), |seconds| write!(f, " (retry after {seconds} s)"))
    }
}

/// `google.rpc.Status`, as in `grpc-status-details-bin`.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
}

#[derive(Deserialize)]
struct ConnectError {
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    details: Vec<ConnectDetail>,
}

#[derive(Deserialize)]
struct ConnectEnd {
    error: Option<ConnectError>,
}

#[derive(Deserialize)]
struct ConnectDetail {
    r#type: String,
    value: String,
}

#[derive(Deserialize)]
struct Problem {
    title: String,
    reason: String,
    #[serde(default)]
    detail: String,
}

/// What the two details of a refusal say.
#[derive(Default)]
struct Details {
    reason: Option<String>,
    retry_seconds: Option<u64>,
}

impl Details {
    fn read(&mut self, type_name: &str, value: Bytes) -> Result<(), CallError> {
        let malformed = |fault: prost::DecodeError| CallError::Malformed(format!("{type_name}: {fault}"));
        match type_name {
            "google.rpc.ErrorInfo" => self.reason = Some(ErrorInfo::decode(value).map_err(malformed)?.reason),
            "google.rpc.RetryInfo" => {
                let delay = RetryInfo::decode(value).map_err(malformed)?.retry_delay.unwrap_or_default();
                // Rounded up: a caller that waits only the whole seconds would come too early.
                let seconds = delay.seconds.saturating_add(i64::from(delay.nanos > 0));
                self.retry_seconds = u64::try_from(seconds).ok();
            }
            _ => {}
        }
        Ok(())
    }
}

impl Refused {
    /// From a Connect answer whose status is not 200; a problem document is taken too, since what refuses
    /// ahead of the RPC layer may speak no Connect.
    pub(super) fn from_connect(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<Self, CallError> {
        if let Some(refused) = Self::from_problem(status, headers, body) {
            return Ok(refused);
        }
        let malformed = |fault| CallError::Malformed(format!("status {status} without a Connect error: {fault}"));
        Self::of_connect(serde_json::from_slice(body).map_err(malformed)?, headers, status)
    }

    /// From what ends a stream in Connect; `None` where that says that all went well.
    pub(super) fn from_connect_end(headers: &HeaderMap, end: &[u8]) -> Result<Option<Self>, CallError> {
        let malformed = |fault| CallError::Malformed(format!("the end of the stream: {fault}"));
        let ConnectEnd { error } = serde_json::from_slice(end).map_err(malformed)?;
        error.map(|error| Self::of_connect(error, headers, StatusCode::OK)).transpose()
    }

    fn of_connect(error: ConnectError, headers: &HeaderMap, status: StatusCode) -> Result<Self, CallError> {
        let mut details = Details::default();
        for detail in error.details {
            let value = decode_base64(&detail.value)?;
            details.read(&detail.r#type, value)?;
        }
        Ok(Self::new(error.code, details, error.message, headers, status))
    }

    /// From gRPC's trailers; `None` where they say that all went well.
    pub(super) fn from_trailers(status: StatusCode, trailers: &HeaderMap) -> Result<Option<Self>, CallError> {
        let number = trailers.get("grpc-status").ok_or_else(|| CallError::Malformed("no grpc-status".to_owned()))?;
        let number = number.to_str().ok().and_then(|number| number.parse::<usize>().ok());
        let code = number.and_then(|number| CODES.get(number));
        let code = *code.ok_or_else(|| CallError::Malformed("a grpc-status that is none".to_owned()))?;
        if code == "ok" {
            return Ok(None);
        }
        let message = trailers.get("grpc-message").map(|value| percent_decode(value.as_bytes()).decode_utf8_lossy());
        let mut details = Details::default();
        if let Some(encoded) = trailers.get("grpc-status-details-bin") {
            let status = Status::decode(decode_base64(encoded.as_bytes())?)
                .map_err(|fault| CallError::Malformed(format!("grpc-status-details-bin: {fault}")))?;
            for detail in status.details {
                let type_name = detail.type_url.rsplit('/').next().unwrap_or_default();
                details.read(type_name, detail.value)?;
            }
        }
        let message = message.unwrap_or_default().into_owned();
        Ok(Some(Self::new(code.to_owned(), details, message, trailers, status)))
    }

    /// From a problem document (RFC 9457); `None` where the body is none with a reason.
    #[must_use]
    pub fn from_problem(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Option<Self> {
        let content_type = headers.get(http::header::CONTENT_TYPE)?.to_str().ok()?;
        if !content_type.starts_with("application/problem+json") {
            return None;
        }
        let problem: Problem = serde_json::from_slice(body).ok()?;
        let details = Details { reason: Some(problem.reason), retry_seconds: None };
        let message = if problem.detail.is_empty() { problem.title.clone() } else { problem.detail };
        Some(Self::new(problem.title, details, message, headers, status))
    }

    fn new(code: String, details: Details, message: String, metadata: &HeaderMap, status: StatusCode) -> Self {
        Self {
            code,
            reason: details.reason,
            message,
            retry_after_seconds: number(metadata, "retry-after").or(details.retry_seconds),
            rate_limit: RateLimit::read(metadata),
            http_status: status.as_u16(),
        }
    }
}

impl RateLimit {
    fn read(metadata: &HeaderMap) -> Option<Self> {
        Some(Self {
            limit: number(metadata, "x-ratelimit-limit")?,
            remaining: number(metadata, "x-ratelimit-remaining")?,
            reset_seconds: number(metadata, "x-ratelimit-reset")?,
        })
    }
}

fn number(metadata: &HeaderMap, name: &str) -> Option<u64> {
    metadata.get(name)?.to_str().ok()?.parse().ok()
}

fn decode_base64(encoded: impl AsRef<[u8]>) -> Result<Bytes, CallError> {
    let decoded = BASE64.decode(encoded).map_err(|fault| CallError::Malformed(format!("base64: {fault}")))?;
    Ok(decoded.into())
}

#[cfg(test)]
mod tests;
