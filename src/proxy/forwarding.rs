//! Where a request comes from: what trusted proxies say of it, and what is told to the backend.

use super::{
    client_ip::{self, HOPS_MAX, address},
    context::RequestContext,
};
use crate::wire::Authority;
use filters::headers::{FORWARDED_FOR, FORWARDED_HOST, FORWARDED_PORT, FORWARDED_PROTO, FORWARDING};
use http::{
    HeaderMap, HeaderName, HeaderValue, Uri,
    header::{FORWARDED, HOST, VIA},
};
use ipnet::IpNet;

/// What a trusted proxy says of the request that the client sent: of each part nothing, where it says nothing that can be.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// `http` or `https`.
    pub scheme: Option<&'static str>,
    /// The host, and its port where that was named.
    pub host: Option<HeaderValue>,
    /// The port.
    pub port: Option<u16>,
}

/// Reads what is said of a request whose peer is trusted. `hop` is the place of the client in `X-Forwarded-For`, from the
/// right: the proxy that wrote it there wrote the values at the same place.
///
/// `X-Forwarded-*` speak where any of them is there, and `Forwarded` (RFC 7239) otherwise: a proxy writes one of the two
/// kinds, and passes the other on as the client has sent it.
#[must_use]
pub fn told(headers: &HeaderMap, hop: usize, trusted: &[IpNet]) -> Option<Box<Told>> {
    let extended = [FORWARDED_FOR, FORWARDED_PROTO, FORWARDED_HOST, FORWARDED_PORT];
    let told = match extended.iter().any(|name| headers.contains_key(name)) {
        true => Told {
            scheme: at(headers, &FORWARDED_PROTO, hop).and_then(scheme),
            host: at(headers, &FORWARDED_HOST, hop).and_then(host),
            port: at(headers, &FORWARDED_PORT, hop).and_then(port),
        },
        false => standard(headers, trusted),
    };
    (told != Told::default()).then(|| Box::new(told))
}

/// The value at this place from the right, over all lines. Of a shorter list it is the leftmost: most proxies write one
/// value, in place of whatever came.
fn at<'a>(headers: &'a HeaderMap, name: &HeaderName, hop: usize) -> Option<&'a [u8]> {
    client_ip::from_the_right(headers, name).take(hop.saturating_add(1)).last()
}

fn scheme(value: &[u8]) -> Option<&'static str> {
    let is = |known: &str| value.eq_ignore_ascii_case(known.as_bytes());
    // Some proxies name the scheme of a WebSocket as pages do.
    match value.len() {
        5 if is("https") => Some("https"),
        3 if is("wss") => Some("https"),
        4 if is("http") => Some("http"),
        2 if is("ws") => Some("http"),
        _ => None,
    }
}

fn host(value: &[u8]) -> Option<HeaderValue> {
    HeaderValue::from_str(&Authority::read(value)?.plain()).ok()
}

fn port(value: &[u8]) -> Option<u16> {
    let digits = str::from_utf8(value).ok().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok().filter(|port| *port != 0)
}

/// What `Forwarded` says: its element of the proxy to which the client was connected.
fn standard(headers: &HeaderMap, trusted: &[IpNet]) -> Told {
    let mut told = Told::default();
    let lines = headers.get_all(FORWARDED).iter().rev();
    let elements = lines.flat_map(|line| unquoted(line.as_bytes(), b',').into_iter().rev());
    for element in elements.filter(|element| !element.is_empty()).take(HOPS_MAX) {
        let mut from = None;
        told = Told::default();
        for pair in unquoted(element, b';') {
            let mut sides = pair.splitn(2, |byte| *byte == b'=').map(<[u8]>::trim_ascii);
            let (Some(name), Some(value)) = (sides.next(), sides.next()) else { continue };
            let value = bare(value);
            match name.to_ascii_lowercase().as_slice() {
                b"for" => from = str::from_utf8(value).ok().and_then(address),
                b"proto" => told.scheme = scheme(value),
                b"host" => told.host = host(value),
                _ => {}
            }
        }
        if !from.is_some_and(|from| client_ip::is_among(from, trusted)) {
            break;
        }
    }
    told
}

/// Splits where `by` stands outside of quotes.
fn unquoted(text: &[u8], by: u8) -> Vec<&[u8]> {
    let mut is_quoted = false;
    let mut is_escaped = false;
    let parts = text.split(|byte| {
        let is_end = *byte == by && !is_quoted;
        is_quoted ^= *byte == b'"' && !is_escaped;
        is_escaped = is_quoted && *byte == b'\\' && !is_escaped;
        is_end
    });
    parts.map(<[u8]>::trim_ascii).collect()
}

/// Without quotes. What is escaped inside of them stays so, and is then no host.
fn bare(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value)
}

impl RequestContext {
    /// The scheme that the client used.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        let own = if self.is_tls { "https" } else { "http" };
        self.told.as_ref().and_then(|told| told.scheme).unwrap_or(own)
    }

    /// The host that the client used, and its port where that was named. Routes go by `Host` alone.
    #[must_use]
    pub fn client_host(&self, uri: &Uri, headers: &HeaderMap) -> Option<HeaderValue> {
        let told = self.told.as_ref().and_then(|told| told.host.clone());
        // In HTTP/2 the authority says it (RFC 9113 section 8.3.1).
        let authority = || uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
        told.or_else(authority).or_else(|| headers.get(HOST).cloned())
    }

    /// The port that the client used: as it was told, as it stands behind the host, or that of the scheme.
    fn client_port(&self, host: Option<&HeaderValue>) -> HeaderValue {
        let told = self.told.as_ref().and_then(|told| told.port);
        let host = host.map(HeaderValue::as_bytes).filter(|host| host.contains(&b':'));
        let named = || host.and_then(Authority::read).and_then(|authority| authority.port());
        match told.or_else(named) {
            Some(port) => port.into(),
            None if self.scheme() == "https" => HeaderValue::from_static("443"),
            None => HeaderValue::from_static("80"),
        }
    }
}

/// Says where the request comes from, in the place of whatever the client says, and which way it went. To be called behind
/// whatever strips headers that a client names: these must not be among them.
pub(crate) fn vouch(ctx: &RequestContext, uri: &Uri, headers: &mut HeaderMap) {
    if ctx.brought_forwarding {
        for name in &FORWARDING {
            headers.remove(name);
        }
    }
    let host = ctx.client_host(uri, headers);
    let client = client_ip::text(ctx.client_ip);
    let text = host.as_ref().and_then(|host| host.to_str().ok()).unwrap_or_default();
    if let Some(value) = client_ip::forwarded(&client, text, ctx.scheme()) {
        headers.insert(FORWARDED, value);
    }
    if let Ok(client_ip) = HeaderValue::try_from(client) {
        headers.insert(FORWARDED_FOR, client_ip);
    }
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static(ctx.scheme()));
    headers.insert(FORWARDED_PORT, ctx.client_port(host.as_ref()));
    if let Some(host) = host {
        headers.insert(FORWARDED_HOST, host);
    }
    if let Some(via) = &ctx.plan.via {
        headers.append(VIA, via.value(ctx.received));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[(&'static str, &[u8])], hop: usize) -> Option<(&'static str, String, u16)> {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        let told = told(&headers, hop, &trusted)?;
        let host = told.host.map(|host| host.to_str().unwrap().to_owned()).unwrap_or_default();
        Some((told.scheme.unwrap_or_default(), host, told.port.unwrap_or_default()))
    }

    #[test]
    fn what_the_proxy_of_the_client_says_is_believed() {
        let (proto, host, port, standard) = ("x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "forwarded");
        let long = vec![b'a'; 10_000];
        for (lines, hop, expected) in [
            (
                &[(proto, &b"https"[..]), (host, b"shop.example"), (port, b"443")][..],
                0,
                Some(("https", "shop.example", 443)),
            ),
            (&[(proto, b"HTTPS")], 0, Some(("https", "", 0))),
            (&[(proto, b"wss")], 0, Some(("https", "", 0))),
            (&[(proto, b"ws")], 0, Some(("http", "", 0))),
            (&[(proto, b"https, http")], 0, Some(("http", "", 0))),
            (&[(proto, b"https, http")], 1, Some(("https", "", 0))),
            (&[(proto, b"https"), (proto, b"http")], 1, Some(("https", "", 0))),
            (&[(proto, b"gopher, https, http")], 1, Some(("https", "", 0))),
            (&[(proto, b"https")], 3, Some(("https", "", 0))),
            (&[(proto, b"https,, ")], 0, Some(("https", "", 0))),
            (&[(host, b"Shop.example.:8443")], 0, Some(("", "Shop.example:8443", 0))),
            (&[(proto, b"javascript"), (host, b"a/b"), (port, b"-1")], 0, None),
            (&[(proto, b"https\xff"), (host, b"u@a"), (port, b"0")], 0, None),
            (&[(proto, b""), (host, b"a b"), (port, b"65536")], 0, None),
            (&[(proto, &long), (host, &long), (port, &long)], 0, None),
            (&[(standard, b"for=192.0.2.1;proto=https;host=shop.example")], 0, Some(("https", "shop.example", 0))),
            (
                &[(standard, b"For=\"[2001:db8::1]:4711\" ; PROTO=\"https\";Host=\"shop.example:8443\"")],
                0,
                Some(("https", "shop.example:8443", 0)),
            ),
            (
                &[(standard, b"for=6.6.6.6;proto=http, for=192.0.2.1;proto=https, for=10.0.0.2;proto=http")],
                0,
                Some(("https", "", 0)),
            ),
            (
                &[(standard, b"for=192.0.2.1;proto=https"), (standard, b"for=10.0.0.2;proto=http")],
                0,
                Some(("https", "", 0)),
            ),
            (&[(standard, b"proto=https")], 0, Some(("https", "", 0))),
            (&[(standard, b"for=unknown;proto=https;host=\"a\\\"b\"")], 0, Some(("https", "", 0))),
            (&[(standard, b"for=\"a, for=192.0.2.1;proto=https")], 0, None),
            (&[(standard, b"by=x;;=;proto")], 0, None),
            // Of the two kinds one speaks.
            (&[(standard, b"proto=https;host=evil.example"), (proto, b"http")], 0, Some(("http", "", 0))),
            (&[(standard, b"proto=https"), ("x-forwarded-for", b"192.0.2.1")], 0, None),
            (&[], 0, None),
        ] {
            let shown: Vec<_> = lines.iter().map(|(name, value)| format!("{name}: {}", value.escape_ascii())).collect();
            let expected = expected.map(|(scheme, host, port)| (scheme, host.to_owned(), port));
            assert_eq!(read(lines, hop), expected, "{hop} {shown:?}");
        }
    }
}
