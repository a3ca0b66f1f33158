//! Headers of an answer that speak of the backend's connection, and end here (RFC 9110 section 7.6.1).
//!
//! Pingora strips them from requests only.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONNECTION, CONTENT_LENGTH, PROXY_AUTHENTICATE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE},
};

/// `Trailer` too: Pingora 0.9.1 passes no trailers on.
static HOP_BY_HOP: [HeaderName; 7] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    TE,
    TRAILER,
    CONNECTION,
    UPGRADE,
];

/// Strips them. `Transfer-Encoding` stays: it is Pingora's word for how the answer is framed from here on. `Upgrade` stays
/// where it is for the client: in an answer that switches protocols, and in a 426, which must have it (RFC 9110 section
/// 15.5.22).
pub fn strip(headers: &mut HeaderMap, keeps_upgrade: bool) {
    // Most answers have one of them or none, and to note that costs less than to look for each.
    let places = headers.keys().filter_map(|name| HOP_BY_HOP.iter().position(|hop| hop == name));
    let seen = places.fold(0_u8, |seen, place| seen | 1 << place);
    if seen != 0 {
        for name in nominated(headers) {
            headers.remove(&name);
        }
        let is_seen = |place: usize| seen & 1 << place != 0;
        for (_, name) in HOP_BY_HOP.iter().enumerate().filter(|(place, _)| is_seen(*place)) {
            if !keeps_upgrade || *name != UPGRADE {
                headers.remove(name);
            }
        }
    }
    if keeps_upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    }
}

/// What `Connection` names, but for what is treated by itself. Mostly it only says `keep-alive` or `close`.
pub(crate) fn nominated(headers: &HeaderMap) -> Vec<HeaderName> {
    static KEPT: [HeaderName; 4] = [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE];
    headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|name| !name.eq_ignore_ascii_case(b"keep-alive") && !name.eq_ignore_ascii_case(b"close"))
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        .filter(|name| !KEPT.contains(name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_speaks_of_the_backends_connection_stays_here() {
        let stripped = |switches: bool| {
            let mut headers = HeaderMap::new();
            for (name, value) in [
                ("connection", "keep-alive, X-Hop, content-length"),
                ("connection", "upgrade"),
                ("x-hop", "1"),
                ("keep-alive", "timeout=5"),
                ("proxy-connection", "close"),
                ("proxy-authenticate", "Basic"),
                ("te", "trailers"),
                ("trailer", "x-t"),
                ("upgrade", "websocket"),
                ("content-length", "3"),
                ("x-kept", "1"),
            ] {
                headers.append(name, HeaderValue::from_static(value));
            }
            strip(&mut headers, switches);
            let mut names: Vec<String> =
                headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
            names.sort();
            names
        };
        assert_eq!(stripped(false), ["content-length: 3", "x-kept: 1"]);
        assert_eq!(stripped(true), ["connection: Upgrade", "content-length: 3", "upgrade: websocket", "x-kept: 1"]);
    }
}
