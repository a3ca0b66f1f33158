//! Whose request it is, and what is told to the backend about that.

use bytes::BytesMut;
use filters::headers::FORWARDED_FOR;
use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The most entries of `X-Forwarded-For` that are looked at, from the right.
pub(super) const HOPS_MAX: usize = 16;

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// The address.
    pub ip: IpAddr,
    /// Of a request that a trusted proxy sends, where in `X-Forwarded-For` the client stands, from the right.
    pub behind: Option<usize>,
    /// Whether that is none of the proxies themselves.
    pub is_known: bool,
}

/// The client: the peer, or where the peer is a trusted proxy, the rightmost address of `X-Forwarded-For` that is none.
/// What stands left of it may be invented by the client.
#[must_use]
pub fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Client {
    let peer = peer.to_canonical();
    if !is_among(peer, trusted) {
        return Client { ip: peer, behind: None, is_known: true };
    }
    let mut client = Client { ip: peer, behind: Some(0), is_known: false };
    for (place, hop) in from_the_right(headers, &FORWARDED_FOR).enumerate() {
        let Some(ip) = str::from_utf8(hop).ok().and_then(address) else { break };
        client = Client { ip, behind: Some(place), is_known: !is_among(ip, trusted) };
        if client.is_known {
            break;
        }
    }
    client
}

/// Whether an address is one of these networks'.
pub(super) fn is_among(ip: IpAddr, networks: &[IpNet]) -> bool {
    networks.iter().any(|network| network.contains(&ip))
}

/// The values of a list, from the right. Empty ones count for nothing (RFC 9110 section 5.6.1.2).
///
/// Value by value and never by lines: one that is no text would take with it what the proxy wrote behind it, and leave
/// what the client wrote ahead.
pub(super) fn from_the_right<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    let lines = headers.get_all(name).iter().rev();
    let values = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    values.filter(|value| !value.is_empty()).take(HOPS_MAX)
}

/// An address, perhaps with a port, and of IPv6 perhaps in brackets.
pub(super) fn address(hop: &str) -> Option<IpAddr> {
    let is_port = |rest: &str| {
        let digits = rest.strip_prefix(':').unwrap_or("x");
        rest.is_empty() || (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
    };
    if let Some((ip, rest)) = hop.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return ip.parse::<Ipv6Addr>().ok().filter(|_| is_port(rest)).map(|ip| IpAddr::V6(ip).to_canonical());
    }
    let with_port = || {
        let (ip, rest) = hop.split_at_checked(hop.find(':')?)?;
        ip.parse::<Ipv4Addr>().ok().filter(|_| is_port(rest)).map(IpAddr::V4)
    };
    hop.parse::<IpAddr>().ok().or_else(with_port).map(|ip| ip.to_canonical())
}

/// An address as text. IPv4 is written here, digit by digit: through the formatter it cost a proxied request as
/// much as its whole route search.
#[must_use]
pub fn text(ip: IpAddr) -> String {
    let IpAddr::V4(ip) = ip else { return ip.to_string() };
    let mut text = String::with_capacity(15);
    for (place, octet) in ip.octets().into_iter().enumerate() {
        if place > 0 {
            text.push('.');
        }
        for power in [100, 10, 1] {
            if octet >= power || power == 1 {
                text.push(char::from(b'0' + octet / power % 10));
            }
        }
    }
    text
}

/// `Forwarded` (RFC 7239): an IPv6 address, which is `client` with colons, is quoted and bracketed.
#[must_use]
pub fn forwarded(client: &str, host: &str, scheme: &str) -> Option<HeaderValue> {
    let (open, close) = if client.contains(':') { ("\"[", "]\"") } else { ("", "") };
    // A host is token, port and brackets; whatever could end a quoted string is not passed on.
    let (host_open, host, host_close) =
        if host.contains(['"', '\\']) { ("", "", "") } else { (";host=\"", host, "\"") };
    let pieces = ["for=", open, client, close, host_open, host, host_close, ";proto=", scheme];
    let mut value = BytesMut::with_capacity(pieces.iter().map(|piece| piece.len()).sum());
    for piece in pieces {
        value.extend_from_slice(piece.as_bytes());
    }
    HeaderValue::from_maybe_shared(value.freeze()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        for (peer, forwarded_for, expected) in [
            ("192.0.2.1", &["1.2.3.4"][..], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["1.2.3.4"], "1.2.3.4"),
            ("10.0.0.1", &["6.6.6.6, 1.2.3.4, 10.9.9.9"], "1.2.3.4"),
            ("10.0.0.1", &["6.6.6.6", "1.2.3.4"], "1.2.3.4"),
            ("10.0.0.1", &["1.2.3.4, nonsense"], "10.0.0.1"),
            ("10.0.0.1", &["6.6.6.6", "ü, 1.2.3.4"], "1.2.3.4"),
            ("10.0.0.1", &["6.6.6.6", "1.2.3.4, ü"], "10.0.0.1"),
            ("10.0.0.1", &["1.2.3.4:5678"], "1.2.3.4"),
            ("::1", &["[2001:db8::1]:80"], "2001:db8::1"),
            ("::ffff:10.0.0.1", &["2001:db8::2"], "2001:db8::2"),
            ("10.0.0.1", &["10.0.0.2, 10.0.0.3"], "10.0.0.2"),
            ("10.0.0.1", &["1.2.3.4,,10.0.0.2"], "1.2.3.4"),
            ("10.0.0.1", &["1.2.3.4", "", ", ,\t"], "1.2.3.4"),
            ("10.0.0.1", &["6.6.6.6, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["6.6.6.6, _hidden, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["1.2.3.4:x"], "10.0.0.1"),
            ("10.0.0.1", &["1.2.3.4:"], "10.0.0.1"),
            ("10.0.0.1", &["[1.2.3.4]"], "10.0.0.1"),
            ("10.0.0.1", &["[2001:db8::1]x"], "10.0.0.1"),
            ("10.0.0.1", &["[::ffff:1.2.3.4]:80"], "1.2.3.4"),
        ] {
            let mut headers = HeaderMap::new();
            for line in forwarded_for {
                headers.append(FORWARDED_FOR, HeaderValue::from_bytes(line.as_bytes()).unwrap());
            }
            let found = client(peer.parse().unwrap(), &headers, &trusted);
            assert_eq!(found.ip, expected.parse::<IpAddr>().unwrap(), "{peer} {forwarded_for:?}");
        }
    }

    #[test]
    fn a_client_is_known_where_no_proxy_stands_for_it() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        for (peer, forwarded_for, behind, is_known) in [
            ("192.0.2.1", Some("1.2.3.4"), None, true),
            ("10.0.0.1", None, Some(0), false),
            ("10.0.0.1", Some("1.2.3.4"), Some(0), true),
            ("10.0.0.1", Some("6.6.6.6, 1.2.3.4, 10.0.0.2,, 10.0.0.3"), Some(2), true),
            ("10.0.0.1", Some("10.0.0.3, 10.0.0.2"), Some(1), false),
            ("10.0.0.1", Some("unknown"), Some(0), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.extend(forwarded_for.map(|line| (FORWARDED_FOR, HeaderValue::from_static(line))));
            let found = client(peer.parse().unwrap(), &headers, &trusted);
            assert_eq!((found.behind, found.is_known), (behind, is_known), "{peer} {forwarded_for:?}");
        }
    }

    #[test]
    fn an_address_is_written_as_the_standard_library_writes_it() {
        for ip in ["0.0.0.0", "1.20.100.255", "9.10.99.101", "200.209.250.5", "2001:db8::1"] {
            assert_eq!(text(ip.parse().unwrap()), ip);
        }
    }

    #[test]
    fn forwarded_quotes_what_must_be_quoted() {
        let value = |ip: &str, host: &str| forwarded(ip, host, "https").unwrap();
        assert_eq!(value("192.0.2.1", "a.example:8080"), "for=192.0.2.1;host=\"a.example:8080\";proto=https");
        assert_eq!(value("2001:db8::1", "a\"b"), "for=\"[2001:db8::1]\";proto=https");
    }
}
