//! How a command is spoken: the protocol, the codec and the HTTP version; and how its answer is read.

use super::{
    CallError, Refused, Reply,
    frame::{self, Frame},
    refused::BASE64,
};
use base64::Engine as _;
use bytes::Bytes;
use clap::ValueEnum;
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{CONTENT_TYPE, TE},
};
use prost::Message;
use proto::edge::v1::{ExecuteCommandRequest, ExecuteCommandResponse};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt;

/// A protocol of the edge API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// Connect, over POST.
    Connect,
    /// gRPC; always HTTP/2.
    Grpc,
    /// gRPC-Web, binary.
    GrpcWeb,
    /// gRPC-Web in base64, as browsers without binary bodies speak it.
    GrpcWebText,
}

/// How messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Codec {
    /// Binary protobuf.
    Proto,
    /// Protobuf's JSON form.
    Json,
}

/// The HTTP version; HTTP/2 is spoken with prior knowledge on `http://`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum HttpVersion {
    /// HTTP/1.1.
    #[value(name = "1.1")]
    Http1,
    /// HTTP/2.
    #[value(name = "2")]
    Http2,
}

/// One way to speak to the edge API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// The protocol.
    pub protocol: Protocol,
    /// The codec.
    pub codec: Codec,
    /// The HTTP version; gRPC ignores it.
    pub http: HttpVersion,
}

/// An answer: whether it is to be believed is for [`super::Device::verify`] to say.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The response message.
    pub response: ExecuteCommandResponse,
    /// Headers and trailers together.
    pub headers: HeaderMap,
}

impl Dialect {
    /// A protocol and a codec over the oldest HTTP version that carries them.
    #[must_use]
    pub fn new(protocol: Protocol, codec: Codec) -> Self {
        let http = if protocol == Protocol::Grpc { HttpVersion::Http2 } else { HttpVersion::Http1 };
        Self { protocol, codec, http }
    }

    /// The HTTP version that is used in the end.
    #[must_use]
    pub fn http_version(self) -> HttpVersion {
        if self.protocol == Protocol::Grpc { HttpVersion::Http2 } else { self.http }
    }

    /// The media type of request and answer.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match (self.protocol, self.codec) {
            (Protocol::Connect, Codec::Proto) => "application/proto",
            (Protocol::Connect, Codec::Json) => "application/json",
            (Protocol::Grpc, Codec::Proto) => "application/grpc+proto",
            (Protocol::Grpc, Codec::Json) => "application/grpc+json",
            (Protocol::GrpcWeb, Codec::Proto) => "application/grpc-web+proto",
            (Protocol::GrpcWeb, Codec::Json) => "application/grpc-web+json",
            (Protocol::GrpcWebText, Codec::Proto) => "application/grpc-web-text+proto",
            (Protocol::GrpcWebText, Codec::Json) => "application/grpc-web-text+json",
        }
    }

    /// The media type of a stream, both ways: only Connect has another for it.
    #[must_use]
    pub fn stream_content_type(self) -> &'static str {
        match (self.protocol, self.codec) {
            (Protocol::Connect, Codec::Proto) => "application/connect+proto",
            (Protocol::Connect, Codec::Json) => "application/connect+json",
            _ => self.content_type(),
        }
    }

    /// The headers of a request.
    #[must_use]
    pub fn headers(self) -> HeaderMap {
        let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(self.content_type()))]);
        match self.protocol {
            Protocol::Connect => {
                let name = HeaderName::from_static("connect-protocol-version");
                headers.insert(name, HeaderValue::from_static("1"));
            }
            Protocol::Grpc => {
                headers.insert(TE, HeaderValue::from_static("trailers"));
            }
            Protocol::GrpcWeb | Protocol::GrpcWebText => {
                headers.insert(HeaderName::from_static("x-grpc-web"), HeaderValue::from_static("1"));
            }
        }
        headers
    }

    /// The headers of a request for a stream.
    #[must_use]
    pub fn stream_headers(self) -> HeaderMap {
        let mut headers = self.headers();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.stream_content_type()));
        headers
    }

    /// The body of a request.
    ///
    /// # Errors
    /// Where the message has no JSON form or is over 4 GiB.
    pub fn body(self, request: &ExecuteCommandRequest) -> Result<Bytes, CallError> {
        match self.protocol {
            Protocol::Connect => Ok(self.encode(request)?.into()),
            _ => self.framed(request),
        }
    }

    /// The body of a request for a stream: one message in its frame, in every protocol.
    pub(super) fn framed(self, request: &(impl Message + Serialize)) -> Result<Bytes, CallError> {
        let framed = frame::encode(&self.encode(request)?).map_err(malformed)?;
        Ok(if self.protocol == Protocol::GrpcWebText { BASE64.encode(framed).into() } else { framed })
    }

    fn encode(self, message: &(impl Message + Serialize)) -> Result<Vec<u8>, CallError> {
        match self.codec {
            Codec::Proto => Ok(message.encode_to_vec()),
            Codec::Json => serde_json::to_vec(message).map_err(malformed),
        }
    }

    /// Reads what came back.
    ///
    /// # Errors
    /// Where it is a refusal, or no answer of this protocol.
    pub fn read(self, reply: Reply) -> Result<Answer, CallError> {
        match self.protocol {
            Protocol::Connect => self.read_connect(reply),
            Protocol::Grpc => self.read_grpc(reply),
            Protocol::GrpcWeb => self.read_grpc_web(reply),
            Protocol::GrpcWebText => {
                let body = decode_text(&reply.body)?;
                self.read_grpc_web(Reply { body, ..reply })
            }
        }
    }

    fn read_connect(self, reply: Reply) -> Result<Answer, CallError> {
        let Reply { status, headers, body, .. } = reply;
        if status != StatusCode::OK {
            return Err(CallError::Refused(Box::new(Refused::from_connect(status, &headers, &body)?)));
        }
        self.expect_media_type(&headers, self.content_type())?;
        Ok(Answer { response: self.decode(&body)?, headers })
    }

    fn read_grpc(self, reply: Reply) -> Result<Answer, CallError> {
        self.expect_grpc(&reply)?;
        let Reply { status, mut headers, body, trailers } = reply;
        headers.extend(trailers);
        refuse(status, &headers)?;
        let frames = frame::split(body).map_err(malformed)?;
        Ok(Answer { response: self.only_message(&frames)?, headers })
    }

    fn read_grpc_web(self, reply: Reply) -> Result<Answer, CallError> {
        self.expect_grpc(&reply)?;
        let Reply { status, mut headers, body, .. } = reply;
        let mut frames = frame::split(body).map_err(malformed)?;
        if let Some(last) = frames.pop_if(|frame| frame.flags == frame::TRAILERS) {
            headers.extend(frame::parse_trailers(&last.payload).map_err(malformed)?);
        }
        refuse(status, &headers)?;
        Ok(Answer { response: self.only_message(&frames)?, headers })
    }

    fn expect_grpc(self, reply: &Reply) -> Result<(), CallError> {
        let Reply { status, headers, body, .. } = reply;
        if let Some(refused) = Refused::from_problem(*status, headers, body) {
            return Err(CallError::Refused(Box::new(refused)));
        }
        if *status != StatusCode::OK {
            return Err(CallError::Malformed(format!("{:?} with status {status}", self.protocol)));
        }
        self.expect_media_type(headers, self.content_type())
    }

    pub(super) fn expect_media_type(self, headers: &HeaderMap, expected: &str) -> Result<(), CallError> {
        let got = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (got, parameters) = got.split_once(';').unwrap_or((got, ""));
        let charset = parameters.trim();
        // `application/grpc` alone means its protobuf codec, in every one of these protocols.
        let short = self.codec == Codec::Proto && Some(got) == expected.strip_suffix("+proto");
        if (got == expected || short) && (charset.is_empty() || charset.eq_ignore_ascii_case("charset=utf-8")) {
            return Ok(());
        }
        Err(CallError::Malformed(format!("content type {got:?} where {expected:?} was asked")))
    }

    fn only_message(self, frames: &[Frame]) -> Result<ExecuteCommandResponse, CallError> {
        match frames {
            [Frame { flags: 0, payload }] => self.decode(payload),
            _ => Err(CallError::Malformed("not exactly one uncompressed message".to_owned())),
        }
    }

    pub(super) fn decode<T: Message + Default + DeserializeOwned>(self, message: &Bytes) -> Result<T, CallError> {
        match self.codec {
            Codec::Proto => T::decode(message.clone()).map_err(malformed),
            Codec::Json => proto::json::read(message).map_err(malformed),
        }
    }
}

fn refuse(status: StatusCode, trailers: &HeaderMap) -> Result<(), CallError> {
    let refused = Refused::from_trailers(status, trailers)?;
    refused.map_or(Ok(()), |refused| Err(CallError::Refused(Box::new(refused))))
}

/// Base64 in one piece or in several, each padded by itself: a server may encode each frame as it goes.
fn decode_text(body: &[u8]) -> Result<Bytes, CallError> {
    let mut decoded = Vec::with_capacity(body.len() / 4 * 3);
    for piece in body.split(|byte| *byte == b'=').filter(|piece| !piece.is_empty()) {
        BASE64.decode_vec(piece, &mut decoded).map_err(malformed)?;
    }
    Ok(decoded.into())
}

fn malformed(fault: impl fmt::Display) -> CallError {
    CallError::Malformed(fault.to_string())
}

#[cfg(test)]
mod tests;
