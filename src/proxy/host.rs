//! One spelling for what is one: the host, and cookies. Nobody behind is to see another host than routes went by.

use crate::wire::Authority;
use http::{
    HeaderValue, Uri,
    header::{COOKIE, HOST},
};
use pingora_http::RequestHeader;

/// Whether a host ends with the dot of the DNS root, or has an empty port.
pub(super) fn needs_settling(host: &[u8]) -> bool {
    matches!(host.last(), Some(b'.' | b':')) || host.windows(2).any(|two| two == b".:")
}

/// Takes the dot of the DNS root and an empty port off the host, as nginx and Envoy do; case and port stay. An absolute
/// target is left with its path, and its host in `Host` (RFC 9112 section 3.2.2). What is malformed stays as it is.
pub(super) fn settle(header: &mut RequestHeader) {
    let mut hosts = header.headers.get_all(HOST).iter();
    let (host, is_repeated) = (hosts.next(), hosts.next().is_some());
    if is_repeated {
        return;
    }
    let absolute = of_absolute(header.raw_path());
    let is_absolute = absolute.is_some();
    if let Some(plain) = absolute.or(host.map(HeaderValue::as_bytes)).and_then(plain) {
        // It was read as ASCII, and a header takes that.
        drop(header.insert_header(HOST, plain));
    }
    let authority = header.uri.authority().and_then(|authority| plain(authority.as_str().as_bytes()));
    let mut parts = header.uri.clone().into_parts();
    match authority.map(|plain| plain.as_bytes().try_into()) {
        Some(Ok(authority)) => parts.authority = Some(authority),
        _ if !is_absolute => return,
        _ => {}
    }
    if let Ok(uri) = Uri::from_parts(parts) {
        header.set_uri(uri);
    }
}

fn plain(host: &[u8]) -> Option<HeaderValue> {
    HeaderValue::from_str(&Authority::read(host)?.plain()).ok()
}

/// The authority of a target in absolute form.
fn of_absolute(target: &[u8]) -> Option<&[u8]> {
    if target.first() == Some(&b'/') {
        return None;
    }
    let at = target.windows(3).position(|three| three == b"://")?;
    target.get(at + 3..)?.split(|byte| matches!(byte, b'/' | b'?')).next()
}

/// Makes one line of several of cookies. HTTP/2 clients send each by itself (RFC 9113 section 8.2.3), and in HTTP/1 there
/// may be but one line (RFC 6265 section 5.4): of several each reader would take others.
pub(super) fn join_cookies(header: &mut RequestHeader) {
    let lines = header.headers.get_all(COOKIE).iter().map(|line| line.as_bytes().trim_ascii());
    let joined = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(&b"; "[..]);
    if let Ok(joined) = HeaderValue::try_from(joined) {
        drop(header.insert_header(COOKIE, joined));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Version;

    fn header(target: &str, headers: &[(&'static str, &'static str)]) -> RequestHeader {
        let mut header = RequestHeader::build("GET", target.as_bytes(), None).unwrap();
        for (name, value) in headers {
            header.append_header(*name, *value).unwrap();
        }
        header
    }

    #[test]
    fn a_host_has_one_spelling() {
        for (target, host, expected) in [
            ("/x", "a.example.", ("/x", "a.example")),
            ("/x", "A.example.:80", ("/x", "A.example:80")),
            ("/x", "a.example:", ("/x", "a.example")),
            ("/x", "a..", ("/x", "a..")),
            ("http://a.example./x?y", "A.EXAMPLE", ("/x?y", "a.example")),
            ("http://a.example", "a.example.", ("/", "a.example")),
            ("*", "a.example.", ("*", "a.example")),
        ] {
            let mut header = header(target, &[("host", host)]);
            settle(&mut header);
            let seen = (str::from_utf8(header.raw_path()).unwrap(), header.headers[HOST].to_str().unwrap());
            assert_eq!(seen, expected, "{target} {host}");
        }
        let mut without = header("http://a.example./x", &[]);
        settle(&mut without);
        assert_eq!((without.raw_path(), without.headers[HOST].as_bytes()), (&b"/x"[..], &b"a.example"[..]));
    }

    #[test]
    fn an_authority_has_one_spelling() {
        let mut header = header("/x?y", &[]);
        header.set_version(Version::HTTP_2);
        header.set_uri("http://a.example.:8080/x?y".parse().unwrap());
        settle(&mut header);
        assert_eq!(header.uri, "http://a.example:8080/x?y");
        assert!(!header.headers.contains_key(HOST));
    }

    #[test]
    fn cookies_are_one_line() {
        let mut header = header("/", &[("cookie", "a=1"), ("cookie", ""), ("cookie", "b=2; c=3"), ("cookie", "d=4")]);
        join_cookies(&mut header);
        assert_eq!(header.headers.get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2; c=3; d=4"]);
    }
}
