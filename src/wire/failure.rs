//! A call that failed: its code, what is said about it, and in which form each protocol says it.

use super::Code;
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use bytes::Bytes;
use filters::api::Reason;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode, percent_encode};
use prost::Message as _;
use proto::google::rpc::{ErrorInfo, RetryInfo};
use serde::Serialize;
use serde_json::{Value, json};
use std::{borrow::Cow, collections::BTreeMap};

/// The status of a gRPC answer.
pub const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// What is said about it.
pub const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// The whole of it, as a `google.rpc.Status`.
pub const GRPC_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
/// What `Any` puts ahead of a message's name.
const TYPE_PREFIX: &str = "type.googleapis.com/";
/// What `grpc-message` may not hold as it is (PROTOCOL-HTTP2): a line break in it would begin another header.
const UNSAFE: &AsciiSet = &CONTROLS.add(b'%');

/// A call that failed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Why.
    pub code: Code,
    /// What is said about it, to a developer.
    pub message: Cow<'static, str>,
    /// What is said about it, to a program.
    pub details: Vec<Detail>,
    /// What is sent beside it.
    pub metadata: Box<Metadata>,
    /// The status of a unary answer in Connect, where it is not the code's own.
    pub http_status: Option<StatusCode>,
    /// The word for it, where the gateway itself says so; none where an upstream did.
    pub reason: Option<Reason>,
}

/// What is sent beside an answer.
#[derive(Debug, Clone, Default)]
pub struct Metadata {
    /// Ahead of it.
    pub headers: HeaderMap,
    /// Behind it.
    pub trailers: HeaderMap,
}

/// One message of the details.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail {
    /// The message's full name: `google.rpc.ErrorInfo`.
    pub name: Cow<'static, str>,
    /// The encoded message.
    pub value: Bytes,
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, prost::Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

#[derive(Serialize)]
struct ConnectError<'a> {
    code: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<ConnectDetail<'a>>,
}

#[derive(Serialize)]
struct ConnectDetail<'a> {
    r#type: &'a str,
    value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    debug: Option<Value>,
}

#[derive(Serialize)]
struct ConnectEnd<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ConnectError<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<&'a str, Vec<Cow<'a, str>>>,
}

impl Failure {
    /// With a code and a message, and nothing else.
    #[must_use]
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            details: Vec::new(),
            metadata: Box::default(),
            http_status: None,
            reason: None,
        }
    }

    /// The same, with metadata behind it.
    #[must_use]
    pub fn with_trailers(mut self, trailers: HeaderMap) -> Self {
        self.metadata.trailers = trailers;
        self
    }

    /// The failure that gRPC's status says, in trailers or in the headers of an answer that is nothing else. None
    /// where there is no status; `Ok` where it is success.
    #[must_use]
    pub fn from_grpc(headers: &HeaderMap) -> Option<Result<(), Self>> {
        let digits = headers.get(GRPC_STATUS)?.to_str().ok();
        // `parse` would take `+0`.
        let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let number = digits.and_then(|digits| digits.parse().ok());
        // What is no number is no success.
        let Some(code) = Code::from_grpc(number.unwrap_or(u32::MAX)) else { return Some(Ok(())) };
        let message = headers.get(GRPC_MESSAGE).map(HeaderValue::as_bytes).unwrap_or_default();
        let message = percent_decode(message).decode_utf8_lossy().into_owned();
        let mut failure = Self::new(code, message);
        let whole = headers.get(GRPC_DETAILS).and_then(|whole| decode_base64(whole.as_bytes()));
        if let Some(status) = whole.and_then(|whole| Status::decode(whole.as_slice()).ok()) {
            let detail = |any: prost_types::Any| Detail {
                name: any.type_url.rsplit('/').next().unwrap_or_default().to_owned().into(),
                value: any.value.into(),
            };
            failure.details = status.details.into_iter().map(detail).collect();
        }
        Some(Err(failure))
    }

    /// Writes it as gRPC's status.
    pub fn write_grpc(&self, headers: &mut HeaderMap) {
        headers.insert(GRPC_STATUS, HeaderValue::from(self.code.number()));
        if !self.message.is_empty() {
            let escaped: Cow<'_, str> = percent_encode(self.message.as_bytes(), UNSAFE).into();
            if let Ok(message) = HeaderValue::from_str(&escaped) {
                headers.insert(GRPC_MESSAGE, message);
            }
        }
        if !self.details.is_empty() {
            let status = Status {
                code: i32::try_from(self.code.number()).unwrap_or_default(),
                message: self.message.clone().into_owned(),
                details: self.details.iter().map(Detail::to_any).collect(),
            };
            if let Ok(whole) = HeaderValue::try_from(STANDARD_NO_PAD.encode(status.encode_to_vec())) {
                headers.insert(GRPC_DETAILS, whole);
            }
        }
    }

    /// The body of a unary answer in Connect.
    #[must_use]
    pub fn to_connect(&self) -> Bytes {
        written(&self.connect())
    }

    fn connect(&self) -> ConnectError<'_> {
        let details = self.details.iter().map(Detail::to_connect).collect();
        ConnectError { code: self.code.as_str(), message: &self.message, details }
    }

    /// The status of a unary answer in Connect.
    #[must_use]
    pub fn http_status(&self) -> StatusCode {
        self.http_status.unwrap_or_else(|| self.code.http_status())
    }
}

impl Detail {
    fn to_connect(&self) -> ConnectDetail<'_> {
        ConnectDetail { r#type: &self.name, value: STANDARD_NO_PAD.encode(&self.value), debug: self.debug() }
    }

    /// The message in protobuf's JSON mapping, where it is one of those that the gateway makes: Connect's clients that
    /// carry no protobuf can read it.
    fn debug(&self) -> Option<Value> {
        match self.name.as_ref() {
            "google.rpc.ErrorInfo" => {
                let ErrorInfo { reason, domain, metadata } = ErrorInfo::decode(self.value.clone()).ok()?;
                Some(match metadata.is_empty() {
                    true => json!({ "reason": reason, "domain": domain }),
                    false => json!({ "reason": reason, "domain": domain, "metadata": metadata }),
                })
            }
            "google.rpc.RetryInfo" => {
                let RetryInfo { retry_delay } = RetryInfo::decode(self.value.clone()).ok()?;
                Some(json!({ "retryDelay": retry_delay?.to_string() }))
            }
            _ => None,
        }
    }

    fn to_any(&self) -> prost_types::Any {
        prost_types::Any { type_url: format!("{TYPE_PREFIX}{}", self.name), value: self.value.to_vec() }
    }
}

/// How a stream in Connect ends: `EndStreamResponse`.
#[must_use]
pub fn connect_end(failure: Option<&Failure>, trailers: &HeaderMap) -> Bytes {
    let mut metadata: BTreeMap<&str, Vec<Cow<'_, str>>> = BTreeMap::new();
    for (name, value) in trailers {
        metadata.entry(name.as_str()).or_default().push(String::from_utf8_lossy(value.as_bytes()));
    }
    written(&ConnectEnd { error: failure.map(Failure::connect), metadata })
}

fn written(value: &impl Serialize) -> Bytes {
    // Strings and maps of strings: there is nothing that serde_json could refuse.
    serde_json::to_vec(value).unwrap_or_default().into()
}

/// Base64 with its padding or without, as `-bin` headers come in both.
fn decode_base64(value: &[u8]) -> Option<Vec<u8>> {
    STANDARD_NO_PAD.decode(value).or_else(|_| STANDARD.decode(value)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure() -> Failure {
        let detail = Detail { name: "google.rpc.ErrorInfo".into(), value: Bytes::from_static(b"\x0a\x01A") };
        let message = "a\r\nset-cookie: b=100% ü";
        Failure { details: vec![detail], ..Failure::new(Code::ResourceExhausted, message) }
    }

    #[test]
    fn grpc_reads_what_grpc_wrote() {
        let mut headers = HeaderMap::new();
        failure().write_grpc(&mut headers);
        assert_eq!(headers.get(GRPC_STATUS).unwrap(), "8");
        assert_eq!(headers.get(GRPC_MESSAGE).unwrap(), "a%0D%0Aset-cookie: b=100%25 %C3%BC");
        let read = Failure::from_grpc(&headers).unwrap().unwrap_err();
        assert_eq!((read.code, read.message, read.details), (failure().code, failure().message, failure().details));
    }

    #[test]
    fn a_status_is_success_failure_or_missing() {
        for (status, expected) in [
            (None, None),
            (Some("0"), Some(None)),
            (Some("5"), Some(Some(Code::NotFound))),
            (Some("99"), Some(Some(Code::Unknown))),
            (Some("-1"), Some(Some(Code::Unknown))),
            (Some("+0"), Some(Some(Code::Unknown))),
            (Some(""), Some(Some(Code::Unknown))),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(status) = status {
                headers.insert(GRPC_STATUS, HeaderValue::from_static(status));
            }
            headers.insert(GRPC_DETAILS, HeaderValue::from_static("no base64!"));
            let read = Failure::from_grpc(&headers).map(|status| status.err().map(|failure| failure.code));
            assert_eq!(read, expected, "{status:?}");
        }
    }

    #[test]
    fn connect_shows_what_the_gateway_says_without_protobuf() {
        let info = ErrorInfo {
            reason: "A".to_owned(),
            domain: "edge.v1".to_owned(),
            metadata: [("k".to_owned(), "v".to_owned())].into(),
        };
        let retry = RetryInfo { retry_delay: Some(prost_types::Duration { seconds: 3, nanos: 0 }) };
        for (name, value, debug) in [
            (
                "google.rpc.ErrorInfo",
                info.encode_to_vec(),
                Some(json!({ "reason": "A", "domain": "edge.v1", "metadata": { "k": "v" } })),
            ),
            ("google.rpc.RetryInfo", retry.encode_to_vec(), Some(json!({ "retryDelay": "3s" }))),
            ("google.rpc.RetryInfo", Vec::new(), None),
            ("google.rpc.ErrorInfo", vec![0xff], None),
            ("other.v1.Message", Vec::new(), None),
        ] {
            assert_eq!(Detail { name: name.into(), value: value.into() }.debug(), debug, "{name}");
        }
    }

    #[test]
    fn connect_writes_json() {
        let debug = r#"{"domain":"","reason":"A"}"#;
        let detail = format!(r#""details":[{{"type":"google.rpc.ErrorInfo","value":"CgFB","debug":{debug}}}]"#);
        let error = format!(r#"{{"code":"resource_exhausted","message":"a\r\nset-cookie: b=100% ü",{detail}}}"#);
        assert_eq!(failure().to_connect(), error);
        assert_eq!(failure().http_status(), 429);
        let mut trailers = HeaderMap::new();
        assert_eq!(connect_end(None, &trailers), "{}");
        trailers.append("x-a", HeaderValue::from_static("1"));
        trailers.append("x-a", HeaderValue::from_static("2"));
        let end = connect_end(Some(&Failure::new(Code::Canceled, "")), &trailers);
        assert_eq!(end, r#"{"error":{"code":"canceled"},"metadata":{"x-a":["1","2"]}}"#);
    }
}
