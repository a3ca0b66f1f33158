//! Which protocol a caller speaks, told from its `Content-Type`.

use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
use std::borrow::Cow;

/// A caller's protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// Connect, unary (`application/proto`, `application/json`).
    Connect,
    /// Connect, streaming (`application/connect+…`).
    ConnectStream,
    /// gRPC.
    Grpc,
    /// gRPC-Web.
    GrpcWeb,
    /// gRPC-Web in base64.
    GrpcWebText {
        /// Whether the messages are JSON.
        is_json: bool,
    },
}

impl Caller {
    /// The protocol of a request with these headers.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let media_type = headers.get(CONTENT_TYPE)?.to_str().ok()?.split(';').next()?.trim().to_ascii_lowercase();
        let codec =
            |prefix: &str| media_type.strip_prefix(prefix).filter(|rest| matches!(*rest, "" | "+proto" | "+json"));
        match media_type.as_str() {
            "application/proto" | "application/json" => Some(Self::Connect),
            "application/connect+proto" | "application/connect+json" => Some(Self::ConnectStream),
            _ => codec("application/grpc-web-text")
                .map(|codec| Self::GrpcWebText { is_json: codec == "+json" })
                .or_else(|| codec("application/grpc-web").map(|_| Self::GrpcWeb))
                .or_else(|| codec("application/grpc").map(|_| Self::Grpc)),
        }
    }

    /// Whether only an RPC client can have sent this, wherever it was sent.
    #[must_use]
    pub fn is_unmistakable(self, headers: &HeaderMap) -> bool {
        self != Self::Connect || headers.contains_key("connect-protocol-version")
    }

    /// Whether bodies are base64.
    #[must_use]
    pub fn is_text(self) -> bool {
        matches!(self, Self::GrpcWebText { .. })
    }
}

/// The headers as connectrpc is to see them: the text variant appears as the binary one, and the media type
/// is in lower case (RFC 9110 section 8.3.1: it has no case).
#[must_use]
pub fn binary(headers: &HeaderMap) -> Cow<'_, HeaderMap> {
    let canonical = match Caller::of(headers) {
        Some(Caller::GrpcWebText { is_json: false }) => "application/grpc-web+proto".to_owned(),
        Some(Caller::GrpcWebText { is_json: true }) => "application/grpc-web+json".to_owned(),
        _ => match headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) {
            Some(value) if value.bytes().any(|byte| byte.is_ascii_uppercase()) => value.to_ascii_lowercase(),
            _ => return Cow::Borrowed(headers),
        },
    };
    let mut headers = headers.clone();
    if let Ok(value) = HeaderValue::from_str(&canonical) {
        headers.insert(CONTENT_TYPE, value);
    }
    Cow::Owned(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_media_type_tells_the_protocol() {
        for (value, expected) in [
            ("application/proto", Some(Caller::Connect)),
            ("application/json; charset=utf-8", Some(Caller::Connect)),
            ("Application/GRPC", Some(Caller::Grpc)),
            ("application/grpc+proto", Some(Caller::Grpc)),
            ("application/grpc-web+json", Some(Caller::GrpcWeb)),
            ("application/grpc-web-text", Some(Caller::GrpcWebText { is_json: false })),
            ("application/grpc-web-text+json", Some(Caller::GrpcWebText { is_json: true })),
            ("application/connect+json", Some(Caller::ConnectStream)),
            ("application/grpc+thrift", None),
            ("application/grpcx", None),
            ("text/plain", None),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, value.parse().unwrap())]);
            assert_eq!(Caller::of(&headers), expected, "{value}");
        }
    }
}
