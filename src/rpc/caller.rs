//! Which protocol and codec a caller speaks.

use crate::wire::{Encoding, accept, lists::elements};
use filters::api::MediaType;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING},
};

/// A caller's protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Connect, unary (`application/proto`, `application/json`, or GET).
    Connect,
    /// Connect, streaming (`application/connect+…`).
    ConnectStream,
    /// gRPC.
    Grpc,
    /// gRPC-Web.
    GrpcWeb,
}

/// How messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// Protobuf's binary format.
    Proto,
    /// Protobuf's JSON mapping.
    Json,
}

/// What a caller speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The protocol.
    pub protocol: Protocol,
    /// The codec.
    pub codec: Codec,
    /// Whether bodies are base64, as gRPC-Web's text variant has them.
    pub is_text: bool,
}

impl Caller {
    /// Tells the caller of a request by its one `Content-Type`, or by the query of a GET. JSON is UTF-8 (RFC 8259
    /// section 8.1): none speaks it in another charset.
    #[must_use]
    pub fn of(method: &Method, query: Option<&str>, headers: &HeaderMap) -> Option<Self> {
        if *method == Method::GET {
            return Self::of_query(query?);
        }
        let media_type = MediaType::of(headers)?;
        let caller = Self::of_essence(&media_type.essence)?;
        (caller.codec == Codec::Proto || media_type.is_utf_8).then_some(caller)
    }

    fn of_essence(essence: &str) -> Option<Self> {
        let caller = |protocol, codec| Self { protocol, codec, is_text: false };
        Some(match essence {
            "application/proto" => caller(Protocol::Connect, Codec::Proto),
            "application/json" => caller(Protocol::Connect, Codec::Json),
            "application/connect+proto" => caller(Protocol::ConnectStream, Codec::Proto),
            "application/connect+json" => caller(Protocol::ConnectStream, Codec::Json),
            other => {
                let (protocol, suffix) = match other.strip_prefix("application/grpc")? {
                    rest if rest.starts_with("-web") => (Protocol::GrpcWeb, rest.strip_prefix("-web")?),
                    rest => (Protocol::Grpc, rest),
                };
                let (is_text, suffix) = match suffix.strip_prefix("-text") {
                    Some(rest) if protocol == Protocol::GrpcWeb => (true, rest),
                    _ => (false, suffix),
                };
                let codec = match suffix {
                    "" | "+proto" => Codec::Proto,
                    "+json" => Codec::Json,
                    _ => return None,
                };
                Self { protocol, codec, is_text }
            }
        })
    }

    /// A GET carries its message in the query, and the codec beside it.
    fn of_query(query: &str) -> Option<Self> {
        let mut codec = None;
        for pair in query.split('&') {
            match pair {
                "encoding=proto" => codec = Some(Codec::Proto),
                "encoding=json" => codec = Some(Codec::Json),
                _ => {}
            }
        }
        Some(Self { protocol: Protocol::Connect, codec: codec?, is_text: false })
    }

    /// Whether only an RPC client can have sent this, wherever it was sent.
    #[must_use]
    pub fn is_unmistakable(self, headers: &HeaderMap) -> bool {
        self.protocol != Protocol::Connect || headers.contains_key("connect-protocol-version")
    }

    /// Whether each message has a flag and a length of its own.
    #[must_use]
    pub fn is_framed(self) -> bool {
        self.protocol != Protocol::Connect
    }

    /// The header that names how messages are compressed.
    #[must_use]
    pub fn encoding_header(self) -> HeaderName {
        match self.protocol {
            Protocol::Connect => CONTENT_ENCODING,
            Protocol::ConnectStream => HeaderName::from_static("connect-content-encoding"),
            Protocol::Grpc | Protocol::GrpcWeb => HeaderName::from_static("grpc-encoding"),
        }
    }

    /// The header that names what is accepted.
    #[must_use]
    pub fn accept_header(self) -> HeaderName {
        match self.protocol {
            Protocol::Connect => ACCEPT_ENCODING,
            Protocol::ConnectStream => HeaderName::from_static("connect-accept-encoding"),
            Protocol::Grpc | Protocol::GrpcWeb => HeaderName::from_static("grpc-accept-encoding"),
        }
    }

    /// Chooses how messages to the caller are compressed, among the encodings that its headers name.
    #[must_use]
    pub fn accepted(self, headers: &HeaderMap) -> Encoding {
        let name = self.accept_header();
        let named = elements(headers, &name);
        match self.protocol {
            Protocol::Connect => accept::preferred(named),
            Protocol::ConnectStream => accept::first(named),
            Protocol::Grpc | Protocol::GrpcWeb => accept::best(named),
        }
    }

    /// The header that says how long the caller waits.
    #[must_use]
    pub fn timeout_header(self) -> HeaderName {
        match self.protocol {
            Protocol::Connect | Protocol::ConnectStream => HeaderName::from_static("connect-timeout-ms"),
            Protocol::Grpc | Protocol::GrpcWeb => HeaderName::from_static("grpc-timeout"),
        }
    }

    /// The `Content-Type` of an answer that is no error of Connect's.
    #[must_use]
    pub fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match (self.protocol, self.is_text, self.codec) {
            (Protocol::Connect, _, Codec::Proto) => "application/proto",
            (Protocol::Connect, _, Codec::Json) => "application/json",
            (Protocol::ConnectStream, _, Codec::Proto) => "application/connect+proto",
            (Protocol::ConnectStream, _, Codec::Json) => "application/connect+json",
            (Protocol::Grpc, _, Codec::Proto) => "application/grpc+proto",
            (Protocol::Grpc, _, Codec::Json) => "application/grpc+json",
            (Protocol::GrpcWeb, false, Codec::Proto) => "application/grpc-web+proto",
            (Protocol::GrpcWeb, false, Codec::Json) => "application/grpc-web+json",
            (Protocol::GrpcWeb, true, Codec::Proto) => "application/grpc-web-text+proto",
            (Protocol::GrpcWeb, true, Codec::Json) => "application/grpc-web-text+json",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::CONTENT_TYPE;

    #[test]
    fn the_media_type_tells_the_protocol_and_is_answered_in_kind() {
        use {Codec::*, Protocol::*};
        for (value, expected) in [
            ("application/proto", Some((Connect, Proto, false))),
            ("application/json; charset=utf-8", Some((Connect, Json, false))),
            ("Application/GRPC", Some((Grpc, Proto, false))),
            ("application/grpc+proto", Some((Grpc, Proto, false))),
            ("application/grpc-web+json", Some((GrpcWeb, Json, false))),
            ("application/grpc-web-text", Some((GrpcWeb, Proto, true))),
            ("application/grpc-web-text+json", Some((GrpcWeb, Json, true))),
            ("application/connect+json", Some((ConnectStream, Json, false))),
            ("application/json; charset=\"UTF-8\"", Some((Connect, Json, false))),
            ("application/json; charset=utf-16", None),
            ("application/connect+json;charset=latin1", None),
            ("application/grpc-web+json; charset=iso-8859-1", None),
            ("application/proto; charset=latin1", Some((Connect, Proto, false))),
            ("application/grpc-text", None),
            ("application/grpc+thrift", None),
            ("application/grpcx", None),
            ("text/plain", None),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, value.parse().unwrap())]);
            let caller = Caller::of(&Method::POST, None, &headers);
            assert_eq!(caller.map(|c| (c.protocol, c.codec, c.is_text)), expected, "{value}");
            if let Some(caller) = caller {
                let answered = HeaderMap::from_iter([(CONTENT_TYPE, caller.content_type())]);
                assert_eq!(Caller::of(&Method::POST, None, &answered), Some(caller), "{value}");
            }
        }
        let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        headers.append(CONTENT_TYPE, HeaderValue::from_static("application/proto"));
        assert_eq!(Caller::of(&Method::POST, None, &headers), None, "of two nobody knows which");
    }

    #[test]
    fn a_query_names_its_codec() {
        for (query, expected) in [
            (Some("connect=v1&encoding=json&message=%7B%7D"), Some(Codec::Json)),
            (Some("encoding=proto&message="), Some(Codec::Proto)),
            (Some("encoding=xml&message="), None),
            (Some(""), None),
            (None, None),
        ] {
            let caller = Caller::of(&Method::GET, query, &HeaderMap::new());
            assert_eq!(caller.map(|caller| caller.codec), expected, "{query:?}");
        }
    }
}
