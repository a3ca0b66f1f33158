//! What curl makes of a URL (curl(1), RFC 3986).

use percent_encoding::percent_decode_str;
use std::fmt::Write as _;

/// A URL that curl would not send, or not once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum UrlFault {
    /// One line, many requests.
    #[error(
        "`{0}` in its URL, of which curl makes several requests or none: give one URL, or add -g to have it as it is"
    )]
    Glob(char),
    /// Not HTTP.
    #[error("a URL of the scheme `{0}`: the gateway speaks http and https")]
    Scheme(String),
    /// What no URL can have.
    #[error("{0} in its URL, which curl refuses")]
    Character(&'static str),
    /// No host.
    #[error("a URL without a host")]
    NoHost,
    /// A host in another script.
    #[error("the host `{0}`, for which curl writes another name: write it in Punycode, as `xn--…`")]
    Host(String),
    /// No port.
    #[error("the port `{0}`, which is none")]
    Port(String),
}

/// A URL as curl sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) is_https: bool,
    /// Name and password, decoded.
    pub(super) userinfo: Option<String>,
    /// The host, and the port where it is not the scheme's.
    pub(super) authority: String,
    pub(super) port: u16,
    /// The path, and the query behind its `?`.
    pub(super) path: String,
    pub(super) query: Option<String>,
}

/// Reads a URL; `is_as_is` is `--path-as-is`, `is_literal` is `-g`.
pub(super) fn parse(written: &str, is_as_is: bool, is_literal: bool) -> Result<Url, UrlFault> {
    let url = if is_literal { written.to_owned() } else { unglobbed(written)? };
    if url.contains(' ') {
        return Err(UrlFault::Character("a space"));
    }
    if url.chars().any(|c| c.is_ascii_control()) {
        return Err(UrlFault::Character("a control character"));
    }
    let url = url.split_once('#').map_or(url.as_str(), |(url, _)| url);
    let (scheme, rest) = url.split_once("://").filter(|(scheme, _)| is_scheme(scheme)).unwrap_or(("http", url));
    let is_https = match scheme.to_ascii_lowercase().as_str() {
        "http" => false,
        "https" => true,
        _ => return Err(UrlFault::Scheme(scheme.to_owned())),
    };
    let (authority, rest) = rest.split_at_checked(rest.find(['/', '?']).unwrap_or(rest.len())).unwrap_or((rest, ""));
    let (path, query) = match rest.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (rest, None),
    };
    let path = if is_as_is { path.to_owned() } else { without_dot_segments(path) };
    let path = if path.is_empty() { "/".to_owned() } else { escaped(&path) };
    let (userinfo, host) = match authority.rsplit_once('@') {
        Some((userinfo, host)) => (Some(decoded(userinfo)), host),
        None => (None, authority),
    };
    let (host, port) = host_and_port(host, is_https)?;
    let authority = if port == usual_port(is_https) { host.to_owned() } else { format!("{host}:{port}") };
    Ok(Url { is_https, userinfo, authority, port, path, query })
}

impl Url {
    /// Adds to the query.
    pub(super) fn append(&mut self, more: &str) {
        let query = self.query.take().filter(|query| !query.is_empty());
        self.query = Some(query.map_or_else(|| more.to_owned(), |query| format!("{query}&{more}")));
    }

    /// What stands in the request line.
    pub(super) fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }
}

/// RFC 3986 section 3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

fn usual_port(is_https: bool) -> u16 {
    if is_https { 443 } else { 80 }
}

fn host_and_port(text: &str, is_https: bool) -> Result<(&str, u16), UrlFault> {
    // The colons of an IPv6 address stand in brackets.
    let host_end = text.rfind(']').map_or(0, |at| at + 1);
    let (host, port) = match text.get(host_end..).and_then(|behind| behind.find(':')) {
        Some(at) => text.split_at_checked(host_end + at).unwrap_or((text, "")),
        None => (text, ""),
    };
    if host.is_empty() {
        return Err(UrlFault::NoHost);
    }
    if !host.is_ascii() {
        return Err(UrlFault::Host(host.to_owned()));
    }
    match port.strip_prefix(':').unwrap_or_default() {
        "" => Ok((host, usual_port(is_https))),
        digits => digits.parse().map(|port| (host, port)).map_err(|_| UrlFault::Port(digits.to_owned())),
    }
}

/// A URL without the backslashes that keep curl from taking braces and brackets for lists and ranges.
fn unglobbed(written: &str) -> Result<String, UrlFault> {
    let mut url = String::with_capacity(written.len());
    let mut chars = written.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => url.push(chars.next_if(|next| matches!(next, '{' | '}' | '[' | ']')).unwrap_or('\\')),
            '[' if is_address_ahead(&url, chars.clone()) => {
                url.push('[');
                url.extend(chars.by_ref().take_while(|c| *c != ']'));
                url.push(']');
            }
            '{' | '}' | '[' | ']' => return Err(UrlFault::Glob(c)),
            _ => url.push(c),
        }
    }
    Ok(url)
}

/// Whether a bracket at the place of a host begins an IPv6 address.
fn is_address_ahead(ahead: &str, behind: impl Iterator<Item = char>) -> bool {
    let is_at_host = ahead.is_empty() || ahead.ends_with("//") || ahead.ends_with('@');
    let inside: String = behind.take_while(|c| *c != ']').take(64).collect();
    is_at_host && inside.split('%').next().is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok())
}

/// RFC 3986 section 5.2.4, with dots that are written as such.
fn without_dot_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                // The first is the empty one ahead of the path's first slash.
                if segment == ".." && kept.len() > 1 {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    kept.join("/")
}

/// A path whose bytes over 0x7f are escaped, in the digits that curl uses.
fn escaped(path: &str) -> String {
    path.bytes().fold(String::with_capacity(path.len()), |mut escaped, byte| {
        match byte.is_ascii() {
            true => escaped.push(char::from(byte)),
            // A String takes everything.
            false => {
                let _ = write!(escaped, "%{byte:02x}");
            }
        }
        escaped
    })
}

/// Name and password. Without a password it is empty.
fn decoded(userinfo: &str) -> String {
    let text = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
    let (name, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    format!("{}:{}", text(name), text(password))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What curl 7.88.1 has sent.
    #[test]
    fn dot_segments_are_squashed_as_curl_does_it() {
        for (path, expected) in [
            ("/api/../api/x", "/api/x"),
            ("/api/./x", "/api/x"),
            ("/api/x/..", "/api/"),
            ("/api/x/.", "/api/x/"),
            ("/../..", "/"),
            ("/a/.../b", "/a/.../b"),
            ("/a/%2e%2e/b", "/a/%2e%2e/b"),
            ("/a//../b", "/a/b"),
            ("/a/..b/c", "/a/..b/c"),
            ("/a/./../b/.", "/b/"),
            ("/..%2f/./x", "/..%2f/x"),
            ("/", "/"),
            ("", ""),
        ] {
            assert_eq!(without_dot_segments(path), expected, "{path}");
        }
    }

    #[test]
    fn a_url_has_its_host_port_and_names() {
        let told = |written: &str| {
            parse(written, false, false).map_or_else(
                |fault| fault.to_string(),
                |url| format!("{} {} {} {:?}", url.authority, url.port, url.target(), url.userinfo),
            )
        };
        for (written, expected) in [
            ("h", "h 80 / None"),
            ("http://h:80/a?b#c", "h 80 /a?b None"),
            ("HTTPS://h:443?a", "h 443 /?a None"),
            ("https://h:8443/", "h:8443 8443 / None"),
            ("http://h:/", "h 80 / None"),
            ("http://[::1]:8080/a", "[::1]:8080 8080 /a None"),
            ("http://u%20s:p%40@h/é", "h 80 /%c3%a9 Some(\"u s:p@\")"),
            ("http://u@h/", "h 80 / Some(\"u:\")"),
            ("http://h/\\[1\\]\\{a\\}", "h 80 /[1]{a} None"),
            ("h/a?u=http://x", "h 80 /a?u=http://x None"),
        ] {
            assert_eq!(told(written), expected, "{written}");
        }
        for (written, expected) in [
            ("http://h/{a,b}", UrlFault::Glob('{')),
            ("http://h/[1-3]", UrlFault::Glob('[')),
            ("http://h/a]", UrlFault::Glob(']')),
            ("http://[::1]:8080/[1]", UrlFault::Glob('[')),
            ("http://h/a b", UrlFault::Character("a space")),
            ("http://h/a\nb", UrlFault::Character("a control character")),
            ("ftp://h/", UrlFault::Scheme("ftp".to_owned())),
            ("http:///a", UrlFault::NoHost),
            ("http://münchen.example/", UrlFault::Host("münchen.example".to_owned())),
            ("http://h:99999/", UrlFault::Port("99999".to_owned())),
            ("http://h:x/", UrlFault::Port("x".to_owned())),
        ] {
            assert_eq!(parse(written, false, false).unwrap_err(), expected, "{written}");
        }
        assert_eq!(parse("http://h/[1-3]{a}/..", true, true).unwrap().path, "/[1-3]{a}/..");
    }
}
