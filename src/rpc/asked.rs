//! What a request's head asks of the gateway itself: how messages are compressed, and by when it is answered.

use super::{Caller, Protocol};
use crate::{
    proxy::nominated,
    wire::{
        Encoding, encoding,
        lists::{Repeated, single},
        timeout,
    },
};
use filters::api::{HeaderEdits, Reason, Refusal};
use http::{HeaderMap, HeaderValue, header};
use std::time::Duration;

/// What a caller asked for.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// What the caller speaks.
    pub caller: Caller,
    /// How its messages are compressed.
    pub encoding: Encoding,
    /// How messages to it may be.
    pub accepts: Encoding,
    /// How long it waits.
    pub timeout: Option<Duration>,
}

impl Asked {
    /// Reads it. With a refusal for an encoding goes what is accepted, as an edit of the answer.
    ///
    /// # Errors
    /// `MEDIA_TYPE_UNSUPPORTED` for an unknown encoding, `REQUEST_MALFORMED` for a time-out or a protocol version
    /// that is none.
    pub fn read(caller: Caller, headers: &HeaderMap, answer: &mut HeaderEdits) -> Result<Self, Refusal> {
        let named = single(headers, &caller.encoding_header());
        let encoding = named
            .ok()
            .and_then(|named| named.map_or(Some(Encoding::Identity), |name| Encoding::from_name(name.as_bytes())));
        let encoding = encoding.ok_or_else(|| {
            answer.set(caller.accept_header(), encoding::ACCEPTED);
            Refusal::because(Reason::MediaTypeUnsupported, "the encoding is none of identity, gzip, zstd and br")
        })?;
        if headers.get_all("connect-protocol-version").iter().any(|version| version != "1") {
            return Err(Refusal::because(Reason::RequestMalformed, "only version 1 of Connect is served"));
        }
        Ok(Self { caller, encoding, accepts: caller.accepted(headers), timeout: timeout(caller, headers)? })
    }
}

fn timeout(caller: Caller, headers: &HeaderMap) -> Result<Option<Duration>, Refusal> {
    let malformed = |what: String| Refusal::because(Reason::RequestMalformed, what);
    let name = caller.timeout_header();
    let value = single(headers, &name).map_err(|Repeated| malformed(format!("`{name}` stands more than once")))?;
    let Some(value) = value.map(HeaderValue::as_bytes) else { return Ok(None) };
    let read = match caller.protocol {
        Protocol::Grpc | Protocol::GrpcWeb => timeout::read_grpc(value),
        Protocol::Connect | Protocol::ConnectStream => timeout::read_connect(value),
    };
    read.map(Some).map_err(|fault| malformed(fault.to_string()))
}

/// Removes what of a request's head is for the gateway, and is not the caller's metadata. `Host` stays.
pub fn strip(headers: &mut HeaderMap) {
    const PROTOCOL: [&str; 12] = [
        "connect-protocol-version",
        "connect-timeout-ms",
        "connect-content-encoding",
        "connect-accept-encoding",
        "grpc-timeout",
        "grpc-encoding",
        "grpc-accept-encoding",
        "x-grpc-web",
        "x-user-agent",
        "keep-alive",
        "proxy-connection",
        "http2-settings",
    ];
    let own = [
        header::ACCEPT,
        header::ACCEPT_ENCODING,
        header::CONNECTION,
        header::CONTENT_ENCODING,
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
        header::EXPECT,
        header::PROXY_AUTHORIZATION,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ];
    // RFC 9110 section 7.6.1: what `Connection` names is this hop's too.
    for name in nominated(headers) {
        headers.remove(name);
    }
    for name in PROTOCOL {
        headers.remove(name);
    }
    for name in own {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::Codec;
    use http::HeaderName;

    fn caller(protocol: Protocol) -> Caller {
        Caller { protocol, codec: Codec::Proto, is_text: false }
    }

    /// All lines, those of one name in their order.
    fn map(headers: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn each_protocol_has_headers_of_its_own() {
        for (protocol, encoding, accept, timeout) in [
            (Protocol::Connect, "content-encoding", "accept-encoding", ("connect-timeout-ms", "5000")),
            (
                Protocol::ConnectStream,
                "connect-content-encoding",
                "connect-accept-encoding",
                ("connect-timeout-ms", "5000"),
            ),
            (Protocol::Grpc, "grpc-encoding", "grpc-accept-encoding", ("grpc-timeout", "5S")),
            (Protocol::GrpcWeb, "grpc-encoding", "grpc-accept-encoding", ("grpc-timeout", "5000m")),
        ] {
            let headers = map(&[(encoding, "zstd"), (accept, "deflate"), (accept, "x-other, br"), timeout]);
            let asked = Asked::read(caller(protocol), &headers, &mut HeaderEdits::default()).unwrap();
            assert_eq!(asked.encoding, Encoding::Zstd, "{protocol:?}");
            assert_eq!(asked.accepts, Encoding::Br, "{protocol:?}");
            assert_eq!(asked.timeout, Some(Duration::from_secs(5)), "{protocol:?}");
        }
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for (headers, expected) in [
            (&[][..], None),
            (&[("grpc-encoding", "identity")], None),
            (&[("grpc-encoding", "GZIP")], None),
            (&[("content-encoding", "x-other")], None),
            (&[("grpc-encoding", "deflate")], Some(Reason::MediaTypeUnsupported)),
            (&[("grpc-encoding", "gzip, gzip")], Some(Reason::MediaTypeUnsupported)),
            (&[("grpc-encoding", "")], Some(Reason::MediaTypeUnsupported)),
            (&[("grpc-encoding", "gzip"), ("grpc-encoding", "gzip")], Some(Reason::MediaTypeUnsupported)),
            (&[("grpc-timeout", "soon")], Some(Reason::RequestMalformed)),
            (&[("grpc-timeout", "1S"), ("grpc-timeout", "2S")], Some(Reason::RequestMalformed)),
            (&[("connect-protocol-version", "2")], Some(Reason::RequestMalformed)),
            (&[("connect-protocol-version", "1"), ("connect-protocol-version", "2")], Some(Reason::RequestMalformed)),
        ] {
            let mut answer = HeaderEdits::default();
            let asked = Asked::read(caller(Protocol::Grpc), &map(headers), &mut answer);
            assert_eq!(asked.err().map(|refusal| refusal.reason), expected, "{headers:?}");
            let mut told = HeaderMap::new();
            answer.apply_to(&mut told);
            let is_told = told.get("grpc-accept-encoding").is_some_and(|accepted| accepted == "gzip, zstd, br");
            assert_eq!(is_told, expected == Some(Reason::MediaTypeUnsupported), "{headers:?}");
        }
    }

    #[test]
    fn only_metadata_are_left() {
        let mut headers = map(&[
            ("connection", "keep-alive, X-Hop"),
            ("x-hop", "1"),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("grpc-timeout", "1S"),
            ("authorization", "Bearer t"),
            ("x-data-bin", "AAE"),
            ("user-agent", "grpc-go"),
            ("x-other-hop", "1"),
        ]);
        headers.append("connection", HeaderValue::from_bytes(b"X-Other-Hop, \xfc").unwrap());
        strip(&mut headers);
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["authorization", "user-agent", "x-data-bin"]);
    }
}
