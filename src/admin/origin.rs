//! Who may ask an admin listener: command lines, scrapers and probes, but no page in somebody's browser.
//!
//! The listener is on loopback, which a browser on the same machine reaches too. A page of another origin is known by
//! what the browser adds to its requests. A page whose own name resolves to this address ("DNS rebinding") is of the
//! same origin for the browser, and is known by that name alone.

use crate::listener::head::HeadRefusal;
use filters::api::{Reason, Refusal};
use http::{HeaderMap, HeaderName, header::ORIGIN};
use std::net::{IpAddr, Ipv6Addr};

/// Where a request comes from, as browsers say it (Fetch Metadata Request Headers, section 2.4).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const MISDIRECTED: u16 = 421;

/// Refuses what a page in a browser may have sent, by whatever method.
///
/// # Errors
/// `ORIGIN_FORBIDDEN`: 403 for another origin, 421 for a host that is no name of this listener (RFC 9110 section
/// 15.5.20).
pub(super) fn check(host: &str, headers: &HeaderMap) -> Result<(), HeadRefusal> {
    let is_from_page = headers.contains_key(ORIGIN)
        || headers.get_all(SEC_FETCH_SITE).iter().any(|site| site != "none" && site != "same-origin");
    if is_from_page {
        let what = "a page in a browser is not answered here: use a command line, or open the address itself";
        return Err(Refusal::because(Reason::OriginForbidden, what).into());
    }
    if !is_own_name(host) {
        let what = "the host is no name of this listener: ask by its IP address, or as localhost";
        return Err(HeadRefusal { status: MISDIRECTED, refusal: Refusal::because(Reason::OriginForbidden, what) });
    }
    Ok(())
}

/// Whether no page of the internet can have this host: an address, `localhost` and what is below it (RFC 6761 section
/// 6.3), or a name without a dot, as containers and `/etc/hosts` have them.
fn is_own_name(host: &str) -> bool {
    let without_port = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let is_ipv6 = |name: &str| {
        name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).is_some_and(|ip| ip.parse::<Ipv6Addr>().is_ok())
    };
    let name = without_port.strip_suffix('.').unwrap_or(without_port);
    name.parse::<IpAddr>().is_ok()
        || is_ipv6(name)
        || !name.contains(['.', '[', ']'])
        || name.rsplit_once('.').is_some_and(|(_, last)| last.eq_ignore_ascii_case("localhost"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn only_names_that_no_page_can_have_are_answered() {
        for (host, is_own) in [
            ("127.0.0.1", true),
            ("127.0.0.1:9090", true),
            ("10.1.2.3:80", true),
            ("[::1]:9090", true),
            ("[::1]", true),
            ("localhost:9090", true),
            ("LOCALHOST.", true),
            ("admin.localhost:9090", true),
            ("gateway:9090", true),
            // HTTP/1.0 needs none, and no browser speaks it.
            ("", true),
            ("evil.example", false),
            ("evil.example:9090", false),
            ("evil.example.", false),
            ("127.0.0.1.evil.example", false),
            ("localhost.evil.example", false),
            ("[::1].evil.example", false),
            ("127.1", false),
            ("evillocalhost.", true),
            ("evil.xlocalhost", false),
        ] {
            assert_eq!(is_own_name(host), is_own, "{host}");
        }
    }

    #[test]
    fn what_browsers_say_of_a_page_is_heeded() {
        for (name, value, status) in [
            ("origin", "http://evil.example", Some(403)),
            ("origin", "null", Some(403)),
            ("origin", "http://127.0.0.1:9090", Some(403)),
            ("sec-fetch-site", "cross-site", Some(403)),
            ("sec-fetch-site", "same-site", Some(403)),
            ("sec-fetch-site", "none", None),
            ("sec-fetch-site", "same-origin", None),
            ("user-agent", "curl/8", None),
        ] {
            let headers = HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static(value))]);
            assert_eq!(check("127.0.0.1", &headers).err().map(|refused| refused.status), status, "{name}: {value}");
        }
        assert_eq!(check("evil.example", &HeaderMap::new()).err().map(|refused| refused.status), Some(421));
    }
}
