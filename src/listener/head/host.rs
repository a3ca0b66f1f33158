//! Whom a request is for: Host, and the target where it names a host too.

use super::HeadRefusal;
use crate::wire::Authority;

/// Checks the form of the request target against method and Host, RFC 9112 section 3.2. Without Host is HTTP/1.0 alone.
/// Gives where in an absolute target the path begins.
pub(super) fn check_target(method: &[u8], target: &[u8], host: Option<&[u8]>) -> Result<Option<usize>, HeadRefusal> {
    if method == b"CONNECT" {
        return Err(HeadRefusal::connect());
    }
    let host = host.map(check_host).transpose()?;
    if target.first() == Some(&b'/') || (target == b"*" && method == b"OPTIONS") {
        return Ok(None);
    }
    let Some(Absolute { scheme_port, authority, path }) = absolute(target) else {
        return Err(HeadRefusal::malformed("the request target is malformed"));
    };
    // Section 3.2.2 says that an absolute target overrides Host. To whoever routes by Host it does not, so both
    // must be the same.
    match (host, Authority::read(authority)) {
        (Some(host), Some(authority)) if !authority.is_same(&host, scheme_port) => {
            Err(HeadRefusal::malformed("Host is not the host of the request target"))
        }
        (_, Some(_)) => Ok(Some(path)),
        (_, None) => Err(HeadRefusal::malformed("the request target is malformed")),
    }
}

/// A target in absolute form.
struct Absolute<'a> {
    /// The port that its scheme has by default.
    scheme_port: u16,
    authority: &'a [u8],
    /// Where the path begins.
    path: usize,
}

/// Reads an absolute-form `http` or `https` target.
fn absolute(target: &[u8]) -> Option<Absolute<'_>> {
    let at = target.windows(3).position(|three| three == b"://")?;
    let scheme_port = default_port(target.get(..at)?)?;
    let authority = target.get(at + 3..)?.split(|byte| matches!(byte, b'/' | b'?')).next()?;
    Some(Absolute { scheme_port, authority, path: at + 3 + authority.len() })
}

/// The port of `http` or `https`; `None` of what is not served.
pub(super) fn default_port(scheme: &[u8]) -> Option<u16> {
    match scheme {
        _ if scheme.eq_ignore_ascii_case(b"http") => Some(80),
        _ if scheme.eq_ignore_ascii_case(b"https") => Some(443),
        _ => None,
    }
}

/// A host that can be routed by: a name or an address, and perhaps a port.
pub(super) fn check_host(host: &[u8]) -> Result<Authority<'_>, HeadRefusal> {
    Authority::read(host).ok_or_else(|| HeadRefusal::malformed("Host is malformed"))
}
