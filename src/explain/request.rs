//! A request that is tried, held to the same rules as one that comes over a connection.

use crate::listener::head::{HeadLimits, HeadReader, HeadRefusal};
use bytes::Bytes;
use filters::api::{Reason, Refusal};
use http::{HeaderName, HeaderValue, Uri, Version};
use pingora_http::RequestHeader;
use std::{borrow::Cow, net::IpAddr};

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    /// The listener that it comes to.
    pub listener: String,
    /// Whose connection it comes over.
    pub peer: IpAddr,
    /// Its head: in HTTP/1.1 as it is on the wire.
    head: Head,
    /// Its body.
    pub body: Bytes,
}

#[derive(Debug, Clone)]
enum Head {
    Http1(Bytes),
    Http2(Box<RequestHeader>),
}

/// What is no request that could be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestFault {
    /// A line break would begin another header.
    #[error("{0} has a line break")]
    LineBreak(&'static str),
    /// It has no end of its head.
    #[error("it has no empty line behind its headers")]
    Unfinished,
    /// Its body is in chunks.
    #[error("its body is in chunks, which are not read here: give it with its content-length")]
    Chunked,
    /// It can not be written in HTTP/2.
    #[error("it cannot be sent over HTTP/2: {0}")]
    Http2(String),
}

/// A request as it is told by its parts.
#[derive(Debug, Clone, Default)]
pub struct Parts {
    /// The method.
    pub method: String,
    /// The path with its query, or an absolute URL.
    pub target: String,
    /// The host, where neither the target nor a header says it.
    pub host: Option<String>,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// Whether it comes over HTTP/2.
    pub is_http2: bool,
}

impl Request {
    /// A request of these parts.
    ///
    /// # Errors
    /// Where they cannot be written as one.
    pub fn new(listener: &str, peer: IpAddr, parts: Parts) -> Result<Self, RequestFault> {
        let Parts { method, target, host, mut headers, body, is_http2 } = parts;
        let breaks = |text: &str| text.contains(['\r', '\n']);
        if breaks(&method) || breaks(&target) {
            return Err(RequestFault::LineBreak("the request line"));
        }
        if headers.iter().any(|(name, value)| breaks(name) || breaks(value)) {
            return Err(RequestFault::LineBreak("a header"));
        }
        let (authority, target) = split(&target);
        let has = |headers: &[(String, String)], name: &str| {
            headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name))
        };
        let host = authority.map(str::to_owned).or(host).unwrap_or_else(|| "localhost".to_owned());
        if !has(&headers, "host") {
            headers.insert(0, ("host".to_owned(), host));
        }
        if !body.is_empty() && !has(&headers, "content-length") && !has(&headers, "transfer-encoding") {
            headers.push(("content-length".to_owned(), body.len().to_string()));
        }
        let head = if is_http2 {
            Head::Http2(Box::new(http2(&method, &target, &headers)?))
        } else {
            let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            Head::Http1(format!("{method} {target} HTTP/1.1\r\n{lines}\r\n").into())
        };
        Ok(Self { listener: listener.to_owned(), peer, head, body })
    }

    /// A request as it is on the wire, in HTTP/1.1. Where no line of its head ends in CR LF it was typed, and LF ends
    /// them.
    ///
    /// # Errors
    /// Where its head has no end.
    pub fn raw(listener: &str, peer: IpAddr, wire: &Bytes) -> Result<Self, RequestFault> {
        let ends = |end: &[u8]| wire.windows(end.len()).position(|window| window == end).map(|at| at + end.len());
        let (head, body) = match (ends(b"\r\n\r\n"), ends(b"\n\n")) {
            (Some(end), lf) if lf.is_none_or(|lf| lf > end) => (wire.slice(..end), wire.slice(end..)),
            (_, Some(end)) => (Bytes::from(with_crlf(wire.get(..end).unwrap_or_default())), wire.slice(end..)),
            _ => {
                let typed = wire.strip_suffix(b"\n").filter(|head| !head.is_empty()).ok_or(RequestFault::Unfinished)?;
                (Bytes::from(with_crlf(&[typed, b"\n\n"].concat())), Bytes::new())
            }
        };
        // With a length beside them the head is refused anyway.
        let names = |name: &str| {
            let mut lines = head.split(|byte| *byte == b'\n');
            lines.any(|line| line.get(..name.len()).is_some_and(|given| given.eq_ignore_ascii_case(name.as_bytes())))
        };
        if !body.is_empty() && names("transfer-encoding:") && !names("content-length:") {
            return Err(RequestFault::Chunked);
        }
        Ok(Self { listener: listener.to_owned(), peer, head: Head::Http1(head), body })
    }

    /// Its body, as long as its head announces it: what stands behind is the next request.
    pub(super) fn body(&self, header: &RequestHeader) -> Bytes {
        let length =
            header.headers.get(http::header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        self.body.slice(..length.unwrap_or(self.body.len()).min(self.body.len()))
    }

    /// Its method and target, as far as they can be read.
    pub(super) fn line(&self) -> (String, String) {
        match &self.head {
            Head::Http1(head) => {
                let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
                let line = String::from_utf8_lossy(line);
                let mut words = line.trim_end().splitn(3, ' ').map(str::to_owned);
                (words.next().unwrap_or_default(), words.next().unwrap_or_default())
            }
            Head::Http2(header) => {
                (header.method.to_string(), header.uri.path_and_query().map(ToString::to_string).unwrap_or_default())
            }
        }
    }

    /// Its head, where the listener takes it.
    pub(super) fn header(&self, limits: HeadLimits) -> Result<RequestHeader, HeadRefusal> {
        match &self.head {
            Head::Http1(head) => read(head, limits),
            Head::Http2(header) => Ok((**header).clone()),
        }
    }
}

fn with_crlf(typed: &[u8]) -> Vec<u8> {
    if typed.windows(2).any(|window| window == b"\r\n") {
        return typed.to_owned();
    }
    typed
        .iter()
        .flat_map(|byte| if *byte == b'\n' { b"\r\n".as_slice() } else { std::slice::from_ref(byte) })
        .copied()
        .collect()
}

/// The authority and the rest of a URL.
fn split(target: &str) -> (Option<&str>, Cow<'_, str>) {
    let Some((_, rest)) = target.split_once("://").filter(|(scheme, _)| !scheme.contains('/')) else {
        return (None, target.into());
    };
    match rest.find(['/', '?']).and_then(|at| rest.split_at_checked(at)) {
        Some((authority, path)) if path.starts_with('/') => (Some(authority), path.into()),
        Some((authority, query)) => (Some(authority), format!("/{query}").into()),
        None => (Some(rest), "/".into()),
    }
}

fn http2(method: &str, target: &str, headers: &[(String, String)]) -> Result<RequestHeader, RequestFault> {
    let fault = |error: &dyn std::fmt::Display| RequestFault::Http2(error.to_string());
    let mut request = http::Request::new(());
    *request.method_mut() = method.parse().map_err(|error| fault(&error))?;
    *request.version_mut() = Version::HTTP_2;
    let host = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host")).map(|(_, host)| host.as_str());
    let uri = Uri::builder().scheme("http").authority(host.unwrap_or_default()).path_and_query(target).build();
    *request.uri_mut() = uri.map_err(|error| fault(&error))?;
    for (name, value) in headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("host")) {
        let name: HeaderName = name.to_ascii_lowercase().parse().map_err(|error| fault(&error))?;
        request.headers_mut().append(name, HeaderValue::from_str(value).map_err(|error| fault(&error))?);
    }
    Ok(RequestHeader::from(request.into_parts().0))
}

fn read(bytes: &[u8], limits: HeadLimits) -> Result<RequestHeader, HeadRefusal> {
    let malformed = || HeadRefusal::from(Refusal::new(Reason::RequestMalformed));
    let head = HeadReader::new(limits).read(bytes)?.ok_or_else(malformed)?;
    let at = |range: std::ops::Range<usize>| bytes.get(range).unwrap_or_default();
    let mut header = RequestHeader::build(at(head.method), at(head.target), None).map_err(|_| malformed())?;
    let lines = at(head.bytes).split(|byte| *byte == b'\n').skip(1);
    for line in lines.filter_map(|line| line.strip_suffix(b"\r")).filter(|line| !line.is_empty()) {
        let colon = line.iter().position(|byte| *byte == b':').ok_or_else(malformed)?;
        let (name, value) = line.split_at_checked(colon).ok_or_else(malformed)?;
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        let name = HeaderName::from_bytes(name).map_err(|_| malformed())?;
        let value = HeaderValue::from_bytes(value).map_err(|_| malformed())?;
        header.append_header(name, value).map_err(|_| malformed())?;
    }
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const LIMITS: HeadLimits = HeadLimits { bytes_max: 1_000, headers_max: 5 };

    fn shown(request: Result<Request, RequestFault>) -> String {
        let request = match request {
            Ok(request) => request,
            Err(fault) => return fault.to_string(),
        };
        match request.header(LIMITS) {
            Ok(header) => {
                let headers: Vec<_> = header.headers.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
                let body = request.body(&header);
                format!("{} {} {} {body:?}", header.method, header.uri, headers.join(" ").replace('"', ""))
            }
            Err(refusal) => format!("{} {}", refusal.status, refusal.refusal.detail),
        }
    }

    fn peer() -> IpAddr {
        Ipv4Addr::LOCALHOST.into()
    }

    #[test]
    fn parts_become_a_request_as_it_is_sent() {
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
            (parts("POST", "/", ("content-length", "1"), "ab", false), "POST / host=localhost content-length=1 b\"a\""),
            (parts("GET", "/", ("a", "b\r\nc: d"), "", false), "a header has a line break"),
            (parts("GET", "/ HTTP/1.1\r\nx: y", ("", ""), "", false), "the request line has a line break"),
            (parts("G T", "/", ("", ""), "", false), "400 the request line has stray spaces"),
            (parts("POST", "http://h/a", ("X-A", "b"), "c", true), "POST http://h/a x-a=b content-length=1 b\"c\""),
            (parts("GET", "/ b", ("", ""), "", true), "it cannot be sent over HTTP/2: invalid uri character"),
        ] {
            assert_eq!(shown(Request::new("one", peer(), parts)), expected);
        }
    }

    #[test]
    fn what_is_typed_has_its_line_ends_made_right() {
        for (wire, expected) in [
            ("GET / HTTP/1.1\nhost: a\n\n", "GET / host=a b\"\""),
            ("GET / HTTP/1.1\nhost: a\n", "GET / host=a b\"\""),
            ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", "GET / host=a b\"\""),
            ("GET / HTTP/1.1\r\nhost: a\n\r\n", "400 a line of the head ends without CR LF"),
            ("POST / HTTP/1.1\nhost: a\ncontent-length: 2\n\n{}\n", "POST / host=a content-length=2 b\"{}\""),
            ("POST / HTTP/1.1\nhost: a\ntransfer-encoding: chunked\n\n0\n\n", "its body is in chunks"),
            ("GET / HTTP/1.1\nhost: a", "it has no empty line behind its headers"),
            ("", "it has no empty line behind its headers"),
        ] {
            let shown = shown(Request::raw("one", peer(), &Bytes::from_static(wire.as_bytes())));
            assert!(shown.starts_with(expected), "{wire:?}: {shown}");
        }
    }
}
