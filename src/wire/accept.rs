//! Chooses how an answer is compressed, among the encodings that its caller names.

use super::Encoding;

/// By size and speed: zstd is faster than the other two, and brotli's messages are smaller than gzip's.
const BEST_FIRST: [Encoding; 3] = [Encoding::Zstd, Encoding::Br, Encoding::Gzip];

/// Chooses from gRPC's list, which has no order (grpc/doc/compression.md): the best of those that are known here.
/// Many clients name `identity` ahead of all others.
pub fn best<'a>(accepted: impl Iterator<Item = &'a [u8]>) -> Encoding {
    let allowed: Vec<Encoding> = accepted.filter_map(acceptable).map(|(encoding, _)| encoding).collect();
    BEST_FIRST.into_iter().find(|encoding| allowed.contains(encoding)).unwrap_or_default()
}

/// Chooses from the list of a Connect stream: the first that is known here and compresses.
pub fn first<'a>(accepted: impl Iterator<Item = &'a [u8]>) -> Encoding {
    let mut allowed = accepted.filter_map(acceptable).map(|(encoding, _)| encoding);
    allowed.find(|encoding| *encoding != Encoding::Identity).unwrap_or_default()
}

/// Chooses from HTTP's `Accept-Encoding`: what has the highest weight (RFC 9110 section 12.5.3), of several the first.
pub fn preferred<'a>(accepted: impl Iterator<Item = &'a [u8]>) -> Encoding {
    let mut preferred = (Encoding::Identity, 0.0);
    for (encoding, weight) in accepted.filter_map(acceptable) {
        if weight > preferred.1 {
            preferred = (encoding, weight);
        }
    }
    preferred.0
}

/// The encoding of an element like `gzip;q=0.5`, and its weight, where it is known here and not forbidden.
fn acceptable(element: &[u8]) -> Option<(Encoding, f32)> {
    let mut parts = element.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let encoding = Encoding::from_name(parts.next()?)?;
    let written = parts.find_map(|part| part.strip_prefix(b"q=").or_else(|| part.strip_prefix(b"Q=")));
    let weight = match written {
        None => 1.0,
        Some(weight) => std::str::from_utf8(weight).ok()?.parse().ok().filter(|weight: &f32| weight.is_finite())?,
    };
    (weight > 0.0).then_some((encoding, weight))
}

#[cfg(test)]
mod tests {
    use super::{Encoding::*, *};

    #[test]
    fn each_protocols_list_is_read_in_its_own_way() {
        for (list, of_grpc, of_connect, of_http) in [
            ("", Identity, Identity, Identity),
            ("identity", Identity, Identity, Identity),
            ("identity, deflate", Identity, Identity, Identity),
            ("gzip", Gzip, Gzip, Gzip),
            ("identity, deflate, gzip", Gzip, Gzip, Identity),
            ("gzip, deflate, identity", Gzip, Gzip, Gzip),
            ("deflate, BR, gzip", Br, Br, Br),
            ("gzip, br, zstd", Zstd, Gzip, Gzip),
            ("gzip;q=0, zstd ;q=0.1", Zstd, Zstd, Zstd),
            ("gzip;q=0.0,identity", Identity, Identity, Identity),
            ("gzip;q=0.2, br; q=0.8, identity;q=0.5", Br, Gzip, Br),
            ("gzip;q=0.2, identity;q=0.5", Gzip, Gzip, Identity),
            ("identity;q=0.5, gzip;q=1.0", Gzip, Gzip, Gzip),
            ("gzip;q=much, br;q=nan, zstd;q=-1", Identity, Identity, Identity),
            ("*", Identity, Identity, Identity),
        ] {
            let elements = || list.split(',').map(|element| element.trim().as_bytes());
            let found = (best(elements()), first(elements()), preferred(elements()));
            assert_eq!(found, (of_grpc, of_connect, of_http), "{list}");
        }
    }
}
