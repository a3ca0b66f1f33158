//! Whom a request is for: Host, and the target where it names a host too.

use super::HeadRefusal;
use std::net::Ipv6Addr;

/// A DNS name has 253 characters at the most (RFC 1035); a port brings 6.
const HOST_BYTES_MAX: usize = 260;

/// Checks the form of the request target against method and Host, RFC 9112 section 3.2.
pub(super) fn check_target(method: &[u8], target: &[u8], host: Option<&[u8]>) -> Result<(), HeadRefusal> {
    if method == b"CONNECT" {
        return Err(HeadRefusal::connect());
    }
    if let Some(host) = host {
        check_host(host)?;
    }
    if target.first() == Some(&b'/') || (target == b"*" && method == b"OPTIONS") {
        return Ok(());
    }
    // Section 3.2.2 says that an absolute target overrides Host. To whoever routes by Host it does not, so both
    // must be the same.
    match authority(target) {
        Some(authority) if Some(authority) == host => Ok(()),
        Some(_) => Err(HeadRefusal::malformed("Host is not the host of the request target")),
        None => Err(HeadRefusal::malformed("the request target is malformed")),
    }
}

/// The authority of an absolute-form `http` or `https` target.
fn authority(target: &[u8]) -> Option<&[u8]> {
    let at = target.windows(3).position(|three| three == b"://")?;
    let scheme = target.get(..at)?;
    if !scheme.eq_ignore_ascii_case(b"http") && !scheme.eq_ignore_ascii_case(b"https") {
        return None;
    }
    target.get(at + 3..)?.split(|byte| matches!(byte, b'/' | b'?')).next()
}

/// A host that can be routed by: a name or an address, and perhaps a port. Of what RFC 3986 allows, escapes and
/// sub-delimiters are left out (`a,b` is a list to some); userinfo was never allowed (RFC 9110 section 4.2.4).
pub(super) fn check_host(host: &[u8]) -> Result<(), HeadRefusal> {
    let valid = std::str::from_utf8(host).is_ok_and(|host| {
        let (name, port) = match host.strip_prefix('[') {
            Some(rest) => {
                let Some((address, port)) = rest.split_once(']') else { return false };
                if address.parse::<Ipv6Addr>().is_err() {
                    return false;
                }
                ("ipv6", port)
            }
            None => host.split_at(host.find(':').unwrap_or(host.len())),
        };
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
        !name.is_empty() && name.bytes().all(is_name) && port.strip_prefix(':').map_or(port.is_empty(), is_port)
    });
    if valid && host.len() <= HOST_BYTES_MAX { Ok(()) } else { Err(HeadRefusal::malformed("Host is malformed")) }
}
