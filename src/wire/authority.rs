//! Hosts and authorities in one normal form, so that everybody who compares two compares the same thing.

use std::{
    borrow::{Borrow, Cow},
    fmt,
    net::Ipv6Addr,
};

/// A DNS name has 253 characters at the most (RFC 1035 section 2.3.4); the root's dot and a port bring 7.
const BYTES_MAX: usize = 260;

/// A host and its port, as `Host`, `:authority` and `X-Forwarded-Host` name them.
///
/// Of what RFC 3986 section 3.2 allows, escapes and sub-delimiters are left out (`a,b` is a list to some); userinfo was
/// never allowed (RFC 9110 section 4.2.4).
#[derive(Debug, Clone, Copy)]
pub struct Authority<'a> {
    written: &'a str,
    /// Without brackets, and without the dot of the DNS root.
    name: &'a str,
    ipv6: Option<Ipv6Addr>,
    /// The port, where one is given. It may be empty (RFC 3986 section 3.2.3).
    port: Option<u16>,
    is_plain: bool,
}

impl<'a> Authority<'a> {
    /// Reads one; `None` where it is malformed.
    #[must_use]
    pub fn read(written: &'a [u8]) -> Option<Self> {
        let written = str::from_utf8(written).ok().filter(|written| written.len() <= BYTES_MAX)?;
        let (name, ipv6, rest) = match written.strip_prefix('[') {
            Some(bracketed) => {
                let (address, rest) = bracketed.split_once(']')?;
                (address, Some(address.parse().ok()?), rest)
            }
            None => {
                let (name, rest) = written.split_at(written.find(':').unwrap_or(written.len()));
                (name, None, rest)
            }
        };
        let rooted = name.len();
        let name = without_root(name);
        if ipv6.is_none() && !is_name(name) {
            return None;
        }
        let digits = if rest.is_empty() { rest } else { rest.strip_prefix(':')? };
        let port = if digits.is_empty() { None } else { Some(port(digits)?) };
        Some(Self { written, name, ipv6, port, is_plain: name.len() == rooted && rest != ":" })
    }

    /// The host in its normal form.
    #[must_use]
    pub fn host(&self) -> Host<'a> {
        match self.ipv6 {
            Some(address) => Host(ipv6(address, self.name)),
            None => Host(lower(self.name)),
        }
    }

    /// The port, where one is given.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// As it was written, but for the dot of the DNS root and an empty port: what is passed on.
    #[must_use]
    pub fn plain(&self) -> Cow<'a, str> {
        if self.is_plain {
            return self.written.into();
        }
        let name = if self.ipv6.is_some() { format!("[{}]", self.name) } else { self.name.to_owned() };
        match self.port {
            Some(port) => format!("{name}:{port}").into(),
            None => name.into(),
        }
    }

    /// Whether two are the same after normalization, for a scheme with this port (RFC 9110 section 4.2.3).
    #[must_use]
    pub fn is_same(&self, other: &Authority<'_>, default_port: u16) -> bool {
        self.written == other.written
            || (self.port.unwrap_or(default_port) == other.port.unwrap_or(default_port) && self.host() == other.host())
    }
}

/// A host without its port in its normal form: lower case, without the dot of the DNS root (RFC 1034 section 3.1), and
/// an IPv6 address without brackets, as RFC 5952 writes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Host<'a>(Cow<'a, str>);

impl<'a> Host<'a> {
    /// The host of an authority. What is none has the empty host, which no route names.
    #[must_use]
    pub fn of(authority: &'a str) -> Self {
        Authority::read(authority.as_bytes()).map_or(Self(Cow::Borrowed("")), |authority| authority.host())
    }

    /// A host as the configuration writes it: without a port, an IPv6 address with or without brackets.
    #[must_use]
    pub fn written(text: &'a str) -> Self {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        match bare.parse() {
            Ok(address) => Self(ipv6(address, bare)),
            Err(_) => Self(lower(without_root(text))),
        }
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same with a text of its own.
    #[must_use]
    pub fn into_owned(self) -> Host<'static> {
        Host(Cow::Owned(self.0.into_owned()))
    }
}

/// Both have the same hash: a map by hosts is searched without a copy.
impl Borrow<str> for Host<'_> {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn without_root(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

fn lower(name: &str) -> Cow<'_, str> {
    match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => name.to_ascii_lowercase().into(),
        false => name.into(),
    }
}

fn ipv6(address: Ipv6Addr, written: &str) -> Cow<'_, str> {
    let normal = address.to_string();
    if normal == written { written.into() } else { normal.into() }
}

/// An empty label names nothing: `a..b` and `.a` are a way around rules that compare the end of a name.
fn is_name(name: &str) -> bool {
    let is_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    name.bytes().all(is_byte) && !name.split('.').any(str::is_empty)
}

fn port(digits: &str) -> Option<u16> {
    // `parse` would take a sign.
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_read_or_is_none() {
        for (written, host, port, plain) in [
            ("a.example", "a.example", None, "a.example"),
            ("A.Example:80", "a.example", Some(80), "A.Example:80"),
            ("a.example.", "a.example", None, "a.example"),
            ("a.example.:8080", "a.example", Some(8080), "a.example:8080"),
            ("a.example:", "a.example", None, "a.example"),
            ("a.example.:", "a.example", None, "a.example"),
            ("a_b~c", "a_b~c", None, "a_b~c"),
            ("127.0.0.1:1", "127.0.0.1", Some(1), "127.0.0.1:1"),
            ("[::1]", "::1", None, "[::1]"),
            ("[0:0:0:0:0:0:0:1]:443", "::1", Some(443), "[0:0:0:0:0:0:0:1]:443"),
            ("[2001:DB8::1]:", "2001:db8::1", None, "[2001:DB8::1]"),
        ] {
            let read = Authority::read(written.as_bytes()).unwrap();
            assert_eq!((read.host().as_str(), read.port(), &*read.plain()), (host, port, plain), "{written}");
        }
        let long = "a".repeat(BYTES_MAX + 1);
        for written in [
            "",
            ".",
            "..",
            ":",
            ":80",
            "a..",
            "a..b",
            ".a",
            "u@a",
            "a,b",
            "a b",
            "a/b",
            "a%41",
            "\u{e4}",
            "a:+1",
            "a:65536",
            "a:1:2",
            "a:x",
            "::1",
            "[::1",
            "[::1]x",
            "[::1].",
            "[a]",
            "[::1%25eth0]",
            &long,
        ] {
            assert!(Authority::read(written.as_bytes()).is_none(), "{written}");
            assert_eq!(Host::of(written).as_str(), "", "{written}");
        }
    }

    #[test]
    fn authorities_are_the_same_after_normalization() {
        for (one, other, default_port, expected) in [
            ("a.example", "A.EXAMPLE", 80, true),
            ("a.example", "a.example:80", 80, true),
            ("a.example:", "a.example.", 80, true),
            ("a.example:443", "a.example", 443, true),
            ("a.example:443", "a.example", 80, false),
            ("a.example:80", "a.example:8080", 80, false),
            ("a.example", "b.example", 80, false),
            ("[::1]:80", "[0::1]", 80, true),
        ] {
            let read = |written: &'static str| Authority::read(written.as_bytes()).unwrap();
            assert_eq!(read(one).is_same(&read(other), default_port), expected, "{one} {other}");
        }
    }

    #[test]
    fn a_host_of_the_configuration_is_that_of_requests() {
        for (written, asked) in [
            ("API.example.com.", "api.example.com"),
            ("::1", "[::1]:80"),
            ("[0::1]", "[::1]"),
            ("127.0.0.1", "127.0.0.1."),
        ] {
            assert_eq!(Host::written(written), Host::of(asked), "{written}");
        }
    }
}
