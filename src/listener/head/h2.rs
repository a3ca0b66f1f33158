//! The same promises for HTTP/2, whose frames already say where a request ends.

use super::{HeadLimits, HeadRefusal, facts, host, line};
use http::{HeaderMap, Method, Uri, header};

/// Headers that speak of one HTTP/1 connection. A gateway that translated them to HTTP/1 would let the client
/// write the framing (H2.TE smuggling), RFC 9113 section 8.2.2.
const CONNECTION_SPECIFIC: [&str; 5] = ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];

/// Checks the head of an HTTP/2 request beyond what h2 and Pingora have refused.
///
/// # Errors
/// What is wrong with it: what [`super::HeadReader`] refuses of HTTP/1, and a header of HTTP/1 connections.
pub fn check_h2(method: &Method, uri: &Uri, headers: &HeaderMap, limits: HeadLimits) -> Result<(), HeadRefusal> {
    line::check_method(method.as_str().as_bytes())?;
    if method == Method::CONNECT {
        return Err(HeadRefusal::connect());
    }
    if list_size(method, uri, headers) > limits.bytes_max {
        let is_target = uri.path_and_query().is_some_and(|target| target.as_str().len() > limits.bytes_max);
        return Err(match is_target {
            true => HeadRefusal::target_too_long(),
            false => HeadRefusal::too_large("the request head is too large"),
        });
    }
    if headers.len() > limits.headers_max {
        return Err(HeadRefusal::too_large("the request has too many headers"));
    }
    if CONNECTION_SPECIFIC.iter().any(|name| headers.contains_key(*name)) {
        return Err(HeadRefusal::malformed("the request has a header of HTTP/1 connections"));
    }
    if headers.get_all(header::TE).iter().any(|te| !te.as_bytes().eq_ignore_ascii_case(b"trailers")) {
        return Err(HeadRefusal::malformed("TE may only be `trailers`"));
    }
    headers.iter().try_for_each(|(name, value)| check_field(name, value.as_bytes()))?;
    check_authority(uri, headers)?;
    if let Some(length) = only(headers, &header::CONTENT_LENGTH, "Content-Length is repeated")? {
        facts::length(length)?;
    }
    headers.get_all(header::EXPECT).iter().try_for_each(|value| facts::expect(value.as_bytes()))?;
    check_path(method, uri)
}

/// The path and query. A fragment is not to be seen here: the `http` crate, which h2 reads it with, cuts it off.
fn check_path(method: &Method, uri: &Uri) -> Result<(), HeadRefusal> {
    let target = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    line::check_target(target.as_bytes())?;
    // RFC 9113 section 8.3.1: `?q` alone is no path, though the `http` crate reads one of it.
    if target.starts_with('/') || (target == "*" && method == Method::OPTIONS) {
        Ok(())
    } else {
        Err(HeadRefusal::malformed("the path is malformed"))
    }
}

/// What of a head counts (RFC 9113 section 6.5.2): each field with 32 bytes beside its name and value, those among them
/// that stand for the request line. In bytes.
pub fn list_size(method: &Method, uri: &Uri, headers: &HeaderMap) -> usize {
    let own = [
        (":method", method.as_str().len()),
        (":scheme", "http".len()),
        (":authority", uri.authority().map_or(0, |authority| authority.as_str().len())),
        (":path", uri.path_and_query().map_or(1, |path| path.as_str().len())),
    ];
    let named = headers.iter().map(|(name, value)| (name.as_str(), value.len()));
    own.into_iter().chain(named).map(|(name, length)| name.len() + length + 32).sum()
}

fn check_field(name: &header::HeaderName, value: &[u8]) -> Result<(), HeadRefusal> {
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    // RFC 9113 section 8.2.1. HTTP/1 takes blanks off, so that a value with them would be two.
    if is_blank(value.first()) || is_blank(value.last()) {
        return Err(HeadRefusal::malformed("a header value begins or ends with white space"));
    }
    facts::check_spelling(name.as_str().as_bytes())
}

fn check_authority(uri: &Uri, headers: &HeaderMap) -> Result<(), HeadRefusal> {
    let scheme = uri.scheme_str().unwrap_or("http");
    let Some(port) = host::default_port(scheme.as_bytes()) else {
        return Err(HeadRefusal::malformed("the scheme is neither http nor https"));
    };
    let authority = uri.authority().map(|authority| authority.as_str().as_bytes());
    let named = only(headers, &header::HOST, "Host is repeated")?;
    match (authority.map(host::check_host).transpose()?, named.map(host::check_host).transpose()?) {
        (None, None) => Err(HeadRefusal::malformed(":authority is missing")),
        // RFC 9113 section 8.3.1.
        (Some(authority), Some(named)) if !authority.is_same(&named, port) => {
            Err(HeadRefusal::malformed("Host is not :authority"))
        }
        _ => Ok(()),
    }
}

fn only<'a>(
    headers: &'a HeaderMap,
    name: &header::HeaderName,
    repeated: &'static str,
) -> Result<Option<&'a [u8]>, HeadRefusal> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(HeadRefusal::malformed(repeated)),
        (value, None) => Ok(value.map(http::HeaderValue::as_bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &str, uri: &str, headers: &[(&'static str, &'static str)]) -> u16 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let limits = HeadLimits { bytes_max: 1024, headers_max: 3 };
        check_h2(&method.parse().unwrap(), &uri.parse().unwrap(), &map, limits).map_or_else(|no| no.status, |()| 200)
    }

    /// With 32 bytes for each field, more than 1,024.
    const LONG: &str = match std::str::from_utf8(&[b'x'; 1000]) {
        Ok(text) => text,
        Err(_) => "",
    };

    #[test]
    fn an_h2_head_is_held_to_what_holds_for_http1() {
        for (expected, method, uri, headers) in [
            (200, "GET", "http://a/", &[] as &[_]),
            (200, "GET", "/", &[("host", "a:80")]),
            (200, "POST", "http://a/", &[("host", "a"), ("te", "trailers"), ("content-length", "5")]),
            (400, "GET", "/", &[]),
            (400, "GET", "http://a/", &[("host", "b")]),
            (400, "GET", "/", &[("host", "a"), ("host", "a")]),
            (400, "GET", "/", &[("host", "u@a")]),
            (200, "GET", "http://a.example/", &[("host", "A.EXAMPLE")]),
            (200, "GET", "http://a.example/", &[("host", "a.example:80")]),
            (200, "GET", "https://a.example:443/", &[("host", "a.example.")]),
            (400, "GET", "https://a.example/", &[("host", "a.example:80")]),
            (400, "GET", "ftp://a/", &[]),
            (400, "GET", "http://a..b/", &[]),
            (200, "GET", "http://a/b?c=%C3%A4", &[]),
            (400, "GET", "http://a/b?c=\u{e4}", &[]),
            (400, "GET", "http://a/b\u{e4}", &[]),
            (400, "GET", "http://a/", &[("x", " a")]),
            (400, "GET", "http://a/", &[("x", "a\t")]),
            (200, "GET", "http://a/", &[("x", "a b")]),
            (400, "POST", "http://a/", &[("content_length", "5")]),
            (400, "POST", "http://a/", &[("transfer_encoding", "chunked")]),
            (501, "METHODMETHODMETHODMETHODMETHODMETHOD", "http://a/", &[]),
            (400, "GET", "http://a/", &[("connection", "close")]),
            (400, "GET", "http://a/", &[("transfer-encoding", "chunked")]),
            (400, "GET", "http://a/", &[("upgrade", "websocket")]),
            (400, "GET", "http://a/", &[("keep-alive", "1")]),
            (400, "GET", "http://a/", &[("proxy-connection", "close")]),
            (400, "GET", "http://a/", &[("te", "gzip")]),
            (400, "POST", "http://a/", &[("content-length", "5"), ("content-length", "5")]),
            (400, "POST", "http://a/", &[("content-length", "+5")]),
            (405, "CONNECT", "a:80", &[]),
            (417, "POST", "http://a/", &[("expect", "more")]),
            (400, "GET", "ftp://a/", &[]),
            (200, "GET", "https://a/", &[]),
            (431, "GET", "http://a/", &[("a", LONG)]),
            (414, "GET", &format!("http://a/?{LONG}{LONG}"), &[]),
            (431, "GET", "http://a/", &[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")]),
        ] {
            assert_eq!(check(method, uri, headers), expected, "{method} {uri} {headers:?}");
        }
    }
}
