//! Bytes of a connection, read by those who read every connection: the guard, and Pingora's session behind it.

use super::incoming::Body;
use crate::listener::{
    head::{HeadLimits, HeadRefusal},
    offline::{Framed, frame},
};
use bytes::{Bytes, BytesMut};
use pingora_core::protocols::http::ServerSession;
use pingora_http::RequestHeader;
use std::io::Cursor;

/// A request that has arrived.
pub(super) struct Arrived {
    pub(super) header: RequestHeader,
    pub(super) body: Body,
    /// What comes first where it becomes a WebSocket.
    pub(super) message: Bytes,
    /// Whether the client asks to speak another protocol.
    pub(super) may_switch: bool,
    /// Whether the client lets the connection serve another request.
    pub(super) lasts: bool,
    /// Where in the bytes it ends.
    pub(super) end: usize,
}

/// The request at the front of these bytes; `None` where its head has not come whole.
pub(super) async fn arrive(bytes: &Bytes, limits: HeadLimits) -> Result<Option<Arrived>, HeadRefusal> {
    let Some(Framed { head, end, body: body_end }) = frame(bytes, limits)? else { return Ok(None) };
    let malformed = |_| HeadRefusal::malformed("the request line or a header is malformed");
    let mut wire = bytes.slice(..end).to_vec();
    let start = head.settle(&mut wire);
    wire.drain(..start);
    let mut session = ServerSession::new_http1(Box::new(Cursor::new(wire)));
    // As the guard has it: connections last unless the client says otherwise.
    session.set_keepalive(Some(0));
    session.read_request().await.map_err(malformed)?;
    let mut body = BytesMut::new();
    // Of a body that is cut short there is as much as came.
    while let Ok(Some(piece)) = session.read_request_body().await {
        body.extend_from_slice(&piece);
    }
    Ok(Some(Arrived {
        header: session.req_header().clone(),
        body: Body { bytes: body.freeze(), end: body_end },
        message: Bytes::new(),
        may_switch: head.upgrade,
        lasts: session.get_keepalive().is_some(),
        end,
    }))
}

/// The method and the target that bytes begin with, as far as they can be read.
pub(super) fn line(bytes: &[u8]) -> (String, String) {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.trim_end().splitn(3, ' ').map(str::to_owned);
    (words.next().unwrap_or_default(), words.next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        explain::{Parts, Request, RequestFault, request::Form, with_crlf},
        listener::offline::BodyEnd,
    };
    use std::net::Ipv4Addr;

    const LIMITS: HeadLimits = HeadLimits { bytes_max: 1_000, headers_max: 5 };

    async fn shown(request: Result<Request, RequestFault>) -> String {
        match request.map(|request| request.form) {
            Err(fault) => fault.to_string(),
            Ok(Form::Http2 { header, body }) => told(&header, &body, ""),
            Ok(Form::Http1 { wire, .. }) => match arrive(&wire, LIMITS).await {
                Ok(Some(Arrived { header, body, end, .. })) => {
                    let behind = wire.len() - end;
                    let more = match body.end {
                        BodyEnd::Whole if behind > 0 => format!(", {behind} bytes behind it"),
                        BodyEnd::Whole => String::new(),
                        BodyEnd::Awaited(missing) => format!(", {missing:?} awaited"),
                        BodyEnd::Broken(_) => ", broken".to_owned(),
                    };
                    told(&header, &body.bytes, &more)
                }
                Ok(None) => "unfinished".to_owned(),
                Err(refusal) => format!("{} {}", refusal.status, refusal.refusal.detail),
            },
        }
    }

    fn told(header: &RequestHeader, body: &Bytes, more: &str) -> String {
        let headers: Vec<_> = header.headers.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        format!("{} {} {} {body:?}{more}", header.method, header.uri, headers.join(" ").replace('"', ""))
    }

    #[tokio::test]
    async fn parts_become_a_request_as_it_is_sent() {
        let parts = |method: &str, target: &str, header: (&str, &str), body: &'static str, is_http2| Parts {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Some(header)
                .filter(|(name, _)| !name.is_empty())
                .map(|(n, v)| (n.to_owned(), v.to_owned()))
                .into_iter()
                .collect(),
            body: body.into(),
            is_http2,
            host: None,
        };
        for (parts, expected) in [
            (parts("GET", "/a?b", ("", ""), "", false), "GET /a?b host=localhost b\"\""),
            (parts("GET", "http://h:1/a", ("", ""), "", false), "GET /a host=h:1 b\"\""),
            (parts("GET", "http://h?a", ("", ""), "", false), "GET /?a host=h b\"\""),
            (parts("POST", "/", ("Host", "x"), "ab", false), "POST / host=x content-length=2 b\"ab\""),
            (
                parts("POST", "/", ("content-length", "1"), "ab", false),
                "POST / host=localhost content-length=1 b\"a\", 1 bytes behind it",
            ),
            (
                parts("POST", "/", ("content-length", "3"), "ab", false),
                "POST / host=localhost content-length=3 b\"ab\", Some(1) awaited",
            ),
            (
                parts("POST", "/", ("transfer-encoding", "chunked"), "ab", false),
                "POST / host=localhost transfer-encoding=chunked b\"ab\"",
            ),
            (parts("GET", "/", ("upgrade", "websocket"), "{}", false), "GET / host=localhost upgrade=websocket b\"\""),
            (parts("GET", "/", ("a", "b\r\nc: d"), "", false), "a header has a line break"),
            (parts("GET", "/ HTTP/1.1\r\nx: y", ("", ""), "", false), "the request line has a line break"),
            (parts("G T", "/", ("", ""), "", false), "400 the request line has stray spaces"),
            (parts("POST", "http://h/a", ("X-A", "b"), "c", true), "POST http://h/a x-a=b content-length=1 b\"c\""),
            (parts("GET", "/ b", ("", ""), "", true), "it cannot be sent over HTTP/2: invalid uri character"),
            (
                parts("GET", "/", ("content-length", "2"), "c", true),
                "it cannot be sent over HTTP/2: its body has 1 bytes, and its content-length says another number",
            ),
        ] {
            assert_eq!(shown(Request::new("one", Ipv4Addr::LOCALHOST.into(), parts)).await, expected);
        }
    }

    #[tokio::test]
    async fn what_is_on_the_wire_is_read_as_it_is() {
        const STRAY: &str = "400 a line of the head ends without CR LF";
        for (wire, expected) in [
            ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", "GET / host=a b\"\""),
            ("GET / HTTP/1.1\nhost: a\n\n", STRAY),
            ("GET / HTTP/1.1\r\nhost: a\n\r\n", STRAY),
            ("GET / HTTP/1.1\r\nhost: a\r\n", "unfinished"),
            ("\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\nGET ", "GET / host=a b\"\", 4 bytes behind it"),
            ("", "it is empty: the gateway would wait, and then close the connection without a word"),
        ] {
            let request = Request::raw("one", Ipv4Addr::LOCALHOST.into(), Bytes::from_static(wire.as_bytes()));
            assert_eq!(shown(request).await, expected, "{wire:?}");
        }
    }

    #[tokio::test]
    async fn what_is_typed_has_its_line_ends_made_right() {
        for (typed, expected) in [
            ("GET / HTTP/1.1\nhost: a\n\n", "GET / host=a b\"\""),
            ("GET / HTTP/1.1\nhost: a\n", "GET / host=a b\"\""),
            ("GET / HTTP/1.1\nhost: a", "GET / host=a b\"\""),
            ("POST / HTTP/1.1\nhost: a\ncontent-length: 2\n\n{}\n", "POST / host=a content-length=2 b\"{}\""),
            ("POST / HTTP/1.1\nhost: a\ncontent-length: 3\n\n{\n}\n", "POST / host=a content-length=3 b\"{\\n}\""),
            ("POST / HTTP/1.1\nhost: a\ncontent-length: 3\n\n{}\n", "POST / host=a content-length=3 b\"{}\\n\""),
            (
                "POST / HTTP/1.1\nhost: a\nTransfer-Encoding: chunked\n\n2\n{}\n0\n\n",
                "POST / host=a transfer-encoding=chunked b\"{}\"",
            ),
        ] {
            let request = Request::raw("one", Ipv4Addr::LOCALHOST.into(), with_crlf(typed.as_bytes()));
            assert_eq!(shown(request).await, expected, "{typed:?}");
        }
    }
}
