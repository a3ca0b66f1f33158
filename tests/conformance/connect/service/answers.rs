//! Answers as requests define them.

use super::messages::{Error, Header, RequestInfo};
use http::{HeaderMap, HeaderName, HeaderValue};
use portcullis::wire::{Code, Failure, failure::Detail};
use prost::Message as _;
use prost_types::Any;
use std::time::Duration;
use tokio::time::Instant;

/// What a call has brought beside its messages, which is echoed.
pub struct Context {
    pub headers: HeaderMap,
    pub deadline: Option<Instant>,
}

impl Context {
    /// With what the call has brought so far.
    pub fn echo(&self, requests: Vec<Any>) -> RequestInfo {
        let header = |name: &HeaderName| {
            let values = self.headers.get_all(name).iter().map(text);
            Header { name: name.to_string(), value: values.collect() }
        };
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()).as_millis());
        RequestInfo {
            headers: self.headers.keys().map(header).collect(),
            timeout_ms: left.map(|left| i64::try_from(left).unwrap_or(i64::MAX)),
            requests,
        }
    }
}

fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

/// Headers, or trailers; without those that cannot be sent.
pub fn metadata(headers: &[Header]) -> HeaderMap {
    let mut metadata = HeaderMap::new();
    for header in headers {
        for value in &header.value {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(&header.name), HeaderValue::try_from(value)) {
                metadata.append(name, value);
            }
        }
    }
    metadata
}

/// An error, with what the call has brought where that was not echoed yet.
pub fn failure(definition: Error, echoed: Option<RequestInfo>) -> Failure {
    let code = u32::try_from(definition.code).ok().and_then(Code::from_grpc).unwrap_or(Code::Unknown);
    let given = definition.details.into_iter().map(|detail| {
        let name = detail.type_url.rsplit('/').next().unwrap_or_default().to_owned();
        Detail { name: name.into(), value: detail.value.into() }
    });
    let echoed = echoed.map(|info| Detail {
        name: "connectrpc.conformance.v1.ConformancePayload.RequestInfo".into(),
        value: info.encode_to_vec().into(),
    });
    let details = given.chain(echoed).collect();
    Failure { details, ..Failure::new(code, definition.message.unwrap_or_default()) }
}

/// Waits as long as a request asks for.
pub async fn wait(delay_ms: u32) {
    tokio::time::sleep(Duration::from_millis(delay_ms.into())).await;
}
