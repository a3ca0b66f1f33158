//! A request that is tried, held to the same rules as one that comes over a connection.

use crate::listener::head::{HeadLimits, HeadReader, HeadRefusal};
use bytes::Bytes;
use filters::api::{Reason, Refusal};
use http::{HeaderName, HeaderValue, Uri, Version};
use pingora_http::RequestHeader;
use std::net::IpAddr;

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
            headers.insert(0, ("host".to_owned(), host.clone()));
        }
        if !body.is_empty() && !has(&headers, "content-length") && !has(&headers, "transfer-encoding") {
            headers.push(("content-length".to_owned(), body.len().to_string()));
        }
        let head = if is_http2 {
            Head::Http2(Box::new(http2(&method, target, &headers)?))
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
        Ok(Self { listener: listener.to_owned(), peer, head: Head::Http1(head), body })
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
fn split(target: &str) -> (Option<&str>, &str) {
    let Some((_, rest)) = target.split_once("://").filter(|(scheme, _)| !scheme.contains('/')) else {
        return (None, target);
    };
    match rest.find(['/', '?']).and_then(|at| rest.split_at_checked(at)) {
        Some((authority, path)) => (Some(authority), path),
        None => (Some(rest), "/"),
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
