//! A request that is tried: told by its parts, or as it is on the wire.

use crate::listener::{
    head::{self, HeadLimits},
    offline::frame,
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Uri, Version, header::CONTENT_LENGTH};
use pingora_http::RequestHeader;
use std::{borrow::Cow, net::IpAddr};

/// A listener's own limits are held against a request when it comes there.
const ANY: HeadLimits = HeadLimits { bytes_max: usize::MAX, headers_max: usize::MAX };

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    /// The listener that it comes to.
    pub listener: String,
    /// Whose connection it comes over.
    pub peer: IpAddr,
    pub(super) form: Form,
}

/// In which form it comes.
#[derive(Debug, Clone)]
pub(super) enum Form {
    /// HTTP/1.1, byte for byte, and what more comes over the connection.
    Http1 {
        wire: Bytes,
        /// The first message of a WebSocket: on the wire it is framed.
        message: Bytes,
    },
    Http2 {
        header: Box<RequestHeader>,
        body: Bytes,
    },
}

/// What is no request that could be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestFault {
    /// A line break would begin another header.
    #[error("{0} has a line break")]
    LineBreak(&'static str),
    /// There are no bytes.
    #[error("it is empty: the gateway would wait, and then close the connection without a word")]
    Empty,
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
    /// The host, where neither the target nor a header says it. With an empty one no host is sent.
    pub host: Option<String>,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// Whether it comes over HTTP/2.
    pub is_http2: bool,
}

impl Request {
    /// A request of these parts, framed as clients do it: its length is told where no header says how it is, and it is
    /// sent in one chunk where one asks for chunks. Of one that asks for another protocol the body is what comes then.
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
        if !has(&headers, "host") && !host.is_empty() {
            headers.insert(0, ("host".to_owned(), host));
        }
        let switches = !is_http2 && has(&headers, "upgrade");
        let is_chunked = !is_http2 && has(&headers, "transfer-encoding");
        if !body.is_empty() && !switches && !is_chunked && !has(&headers, "content-length") {
            headers.push(("content-length".to_owned(), body.len().to_string()));
        }
        let form = if is_http2 {
            Form::Http2 { header: Box::new(http2(&method, &target, &headers, body.len())?), body }
        } else {
            let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            let mut wire = format!("{method} {target} HTTP/1.1\r\n{lines}\r\n").into_bytes();
            let (sent, message) = if switches { (Bytes::new(), body) } else { (body, Bytes::new()) };
            if is_chunked && !sent.is_empty() {
                wire.extend_from_slice(format!("{:x}\r\n", sent.len()).as_bytes());
                wire.extend_from_slice(&sent);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(if is_chunked { b"0\r\n\r\n" } else { &sent });
            Form::Http1 { wire: wire.into(), message }
        };
        Ok(Self { listener: listener.to_owned(), peer, form })
    }

    /// A request as it is on the wire, in HTTP/1.1, byte for byte.
    ///
    /// # Errors
    /// Where it is empty.
    pub fn raw(listener: &str, peer: IpAddr, wire: Bytes) -> Result<Self, RequestFault> {
        if wire.is_empty() {
            return Err(RequestFault::Empty);
        }
        Ok(Self { listener: listener.to_owned(), peer, form: Form::Http1 { wire, message: Bytes::new() } })
    }
}

/// What an editor wrote, as it is on the wire: LF ends the lines of the head, and those of chunks. The line break with
/// which editors end a file is none of the request's, unless that counts it.
#[must_use]
pub fn with_crlf(typed: &[u8]) -> Bytes {
    let end = typed.windows(2).position(|window| window == b"\n\n").map(|at| at + 2);
    let (head, body) = match end.and_then(|end| typed.split_at_checked(end)) {
        Some((head, body)) => (ends(head), body),
        // No empty line was typed: the end of the file is that of the head.
        None => (ends(&[typed.strip_suffix(b"\n").unwrap_or(typed), b"\n\n"].concat()), &b""[..]),
    };
    let mut wire = [&head, body].concat();
    match frame(&wire, ANY) {
        Ok(Some(framed)) if matches!(framed.head.body, head::Body::Chunked) => wire = [head, ends(body)].concat(),
        Ok(Some(framed)) if wire.get(framed.end..) == Some(b"\n") => wire.truncate(framed.end),
        _ => {}
    }
    wire.into()
}

/// With each LF as CR LF.
fn ends(lines: &[u8]) -> Vec<u8> {
    let bytes = lines.iter().flat_map(|byte| if *byte == b'\n' { &b"\r\n"[..] } else { std::slice::from_ref(byte) });
    bytes.copied().collect()
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

fn http2(method: &str, target: &str, headers: &[(String, String)], body: usize) -> Result<RequestHeader, RequestFault> {
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
    // RFC 9113 section 8.1.1: its stream is reset, and nothing answered.
    let is_other = |length: &HeaderValue| length.to_str().ok().and_then(|length| length.parse().ok()) != Some(body);
    if request.headers().get_all(CONTENT_LENGTH).iter().any(is_other) {
        return Err(RequestFault::Http2(format!(
            "its body has {body} bytes, and its content-length says another number"
        )));
    }
    Ok(RequestHeader::from(request.into_parts().0))
}
