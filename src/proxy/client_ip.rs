//! Whose request it is, and what is told to the backend about that.

use bytes::BytesMut;
pub use filters::headers::{FORWARDED_FOR, FORWARDED_HOST, FORWARDED_PROTO, FORWARDING};
use http::{HeaderMap, HeaderValue};
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr};

/// The most entries of `X-Forwarded-For` that are looked at, from the right.
const HOPS_MAX: usize = 16;

/// The client's address: the peer's, or where the peer is a trusted proxy, the rightmost address of
/// `X-Forwarded-For` that is none. What stands left of it may be invented by the client.
#[must_use]
pub fn client_ip(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |ip: IpAddr| trusted.iter().any(|network| network.contains(&ip));
    let mut client = peer.to_canonical();
    if trusted.is_empty() || !is_trusted(client) {
        return client;
    }
    let lines = headers.get_all(FORWARDED_FOR).iter().rev();
    // Hop by hop and never by lines: one that is no text would take with it what the proxy wrote behind it, and leave
    // what the client wrote ahead.
    for hop in lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b',')).take(HOPS_MAX) {
        let Some(ip) = str::from_utf8(hop.trim_ascii()).ok().and_then(address) else { break };
        client = ip;
        if !is_trusted(ip) {
            break;
        }
    }
    client
}

fn address(hop: &str) -> Option<IpAddr> {
    let bare = hop.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or(hop, |(ip, _)| ip);
    let without_port = || bare.split_once(':').and_then(|(ip, _)| ip.parse::<Ipv4Addr>().ok()).map(IpAddr::V4);
    bare.parse::<IpAddr>().ok().or_else(without_port).map(|ip| ip.to_canonical())
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
        ] {
            let mut headers = HeaderMap::new();
            for line in forwarded_for {
                headers.append(FORWARDED_FOR, HeaderValue::from_bytes(line.as_bytes()).unwrap());
            }
            let found = client_ip(peer.parse().unwrap(), &headers, &trusted);
            assert_eq!(found, expected.parse::<IpAddr>().unwrap(), "{peer} {forwarded_for:?}");
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
