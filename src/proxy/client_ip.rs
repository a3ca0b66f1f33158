//! Whose request it is, and what is told to the backend about that.

use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr},
};

/// Who asked.
pub const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Whom they asked.
pub const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// By which scheme.
pub const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// The most entries of `X-Forwarded-For` that are looked at, from the right.
const HOPS_MAX: usize = 16;

/// Headers by which proxies say where a request came from. A client's own are dropped, and the gateway
/// writes those that it vouches for.
pub const FORWARDING: [HeaderName; 6] = [
    HeaderName::from_static("forwarded"),
    FORWARDED_FOR,
    FORWARDED_HOST,
    FORWARDED_PROTO,
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-real-ip"),
];

/// The client's address: the peer's, or where the peer is a trusted proxy, the rightmost address of
/// `X-Forwarded-For` that is none. What stands left of it may be invented by the client.
#[must_use]
pub fn client_ip(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |ip: IpAddr| trusted.iter().any(|network| network.contains(&ip));
    let mut client = peer.to_canonical();
    if trusted.is_empty() || !is_trusted(client) {
        return client;
    }
    let lines = headers.get_all(FORWARDED_FOR).iter().rev().filter_map(|line| line.to_str().ok());
    for hop in lines.flat_map(|line| line.rsplit(',')).take(HOPS_MAX) {
        let Some(ip) = address(hop.trim()) else { break };
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

/// `Forwarded` (RFC 7239): an IPv6 address is quoted and bracketed.
#[must_use]
pub fn forwarded(client: IpAddr, host: &str, scheme: &str) -> Option<HeaderValue> {
    let mut value = String::with_capacity(96);
    let is_written = match client {
        IpAddr::V4(ip) => write!(value, "for={ip}"),
        IpAddr::V6(ip) => write!(value, "for=\"[{ip}]\""),
    };
    is_written.ok()?;
    // A host is token, port and brackets; whatever could end a quoted string is not passed on.
    if !host.contains(['"', '\\']) {
        for piece in [";host=\"", host, "\""] {
            value.push_str(piece);
        }
    }
    value.push_str(";proto=");
    value.push_str(scheme);
    HeaderValue::try_from(value).ok()
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
            ("10.0.0.1", &["1.2.3.4:5678"], "1.2.3.4"),
            ("::1", &["[2001:db8::1]:80"], "2001:db8::1"),
            ("::ffff:10.0.0.1", &["2001:db8::2"], "2001:db8::2"),
            ("10.0.0.1", &["10.0.0.2, 10.0.0.3"], "10.0.0.2"),
        ] {
            let mut headers = HeaderMap::new();
            for line in forwarded_for {
                headers.append(FORWARDED_FOR, line.parse().unwrap());
            }
            let found = client_ip(peer.parse().unwrap(), &headers, &trusted);
            assert_eq!(found, expected.parse::<IpAddr>().unwrap(), "{peer} {forwarded_for:?}");
        }
    }

    #[test]
    fn forwarded_quotes_what_must_be_quoted() {
        let value = |ip: &str, host: &str| forwarded(ip.parse().unwrap(), host, "https").unwrap();
        assert_eq!(value("192.0.2.1", "a.example:8080"), "for=192.0.2.1;host=\"a.example:8080\";proto=https");
        assert_eq!(value("2001:db8::1", "a\"b"), "for=\"[2001:db8::1]\";proto=https");
    }
}
