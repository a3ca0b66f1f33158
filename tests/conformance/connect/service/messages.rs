//! What of `connectrpc/conformance/v1/service.proto` a server reads and writes. Requests and answers of several methods
//! are alike on the wire, and one type here.

use bytes::Bytes;
use prost::Message;
use prost_types::Any;

/// `Header`.
#[derive(Clone, PartialEq, Message)]
pub struct Header {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, repeated, tag = "2")]
    pub value: Vec<String>,
}

/// `Error`.
#[derive(Clone, PartialEq, Message)]
pub struct Error {
    #[prost(int32, tag = "1")]
    pub code: i32,
    #[prost(string, optional, tag = "2")]
    pub message: Option<String>,
    #[prost(message, repeated, tag = "3")]
    pub details: Vec<Any>,
}

/// `UnaryResponseDefinition`.
#[derive(Clone, PartialEq, Message)]
pub struct AnswerDefinition {
    #[prost(message, repeated, tag = "1")]
    pub headers: Vec<Header>,
    #[prost(bytes = "bytes", tag = "2")]
    pub data: Bytes,
    #[prost(message, optional, tag = "3")]
    pub error: Option<Error>,
    #[prost(message, repeated, tag = "4")]
    pub trailers: Vec<Header>,
    #[prost(uint32, tag = "6")]
    pub delay_ms: u32,
}

/// `StreamResponseDefinition`.
#[derive(Clone, PartialEq, Message)]
pub struct StreamDefinition {
    #[prost(message, repeated, tag = "1")]
    pub headers: Vec<Header>,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub data: Vec<Bytes>,
    #[prost(uint32, tag = "3")]
    pub delay_ms: u32,
    #[prost(message, optional, tag = "4")]
    pub error: Option<Error>,
    #[prost(message, repeated, tag = "5")]
    pub trailers: Vec<Header>,
}

/// `UnaryRequest`, `IdempotentUnaryRequest` and `ClientStreamRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct AnswerRequest {
    #[prost(message, optional, tag = "1")]
    pub definition: Option<AnswerDefinition>,
}

/// `ServerStreamRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct StreamRequest {
    #[prost(message, optional, tag = "1")]
    pub definition: Option<StreamDefinition>,
}

/// `BidiStreamRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct BidiRequest {
    #[prost(message, optional, tag = "1")]
    pub definition: Option<StreamDefinition>,
    #[prost(bool, tag = "2")]
    pub is_full_duplex: bool,
}

/// The response of every method.
#[derive(Clone, PartialEq, Message)]
pub struct Answer {
    #[prost(message, optional, tag = "1")]
    pub payload: Option<Payload>,
}

/// `ConformancePayload`.
#[derive(Clone, PartialEq, Message)]
pub struct Payload {
    #[prost(bytes = "bytes", tag = "1")]
    pub data: Bytes,
    #[prost(message, optional, tag = "2")]
    pub request_info: Option<RequestInfo>,
}

/// `ConformancePayload.RequestInfo`.
#[derive(Clone, PartialEq, Message)]
pub struct RequestInfo {
    #[prost(message, repeated, tag = "1")]
    pub headers: Vec<Header>,
    #[prost(int64, optional, tag = "2")]
    pub timeout_ms: Option<i64>,
    #[prost(message, repeated, tag = "3")]
    pub requests: Vec<Any>,
}
