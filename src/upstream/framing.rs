//! Where a backend's answer ends.

use http::{
    HeaderMap, Version,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
};

/// Whether two readers of this answer could end it in two places, one of which is the beginning of another answer
/// (RFC 9112 section 6.3). Nothing of such an answer is to be passed on, and its connection is not to be used again.
///
/// Codings other than `chunked` are among them: they are only for whoever asked for them with `TE`, and the gateway
/// never does (RFC 9112 section 6.1, as is that HTTP/1.0 has none). So is a length that is given twice, even where
/// both are the same: the libraries count it once, and would pass it on twice.
#[must_use]
pub fn is_doubtful(version: Version, headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        let is_chunked = version == Version::HTTP_11 && coding.as_bytes().eq_ignore_ascii_case(b"chunked");
        return !is_chunked || codings.next().is_some() || headers.contains_key(CONTENT_LENGTH);
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    lengths.next().is_some_and(|length| length.as_bytes().contains(&b',')) || lengths.next().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    #[test]
    fn an_answer_has_one_end() {
        for (headers, doubtful) in [
            (&[][..], false),
            (&["content-length: 2"], false),
            (&["transfer-encoding: Chunked"], false),
            (&["content-length: 2", "content-length: 2"], true),
            (&["content-length: 2, 2"], true),
            (&["content-length: 2", "transfer-encoding: chunked"], true),
            (&["transfer-encoding: chunked", "transfer-encoding: chunked"], true),
            (&["transfer-encoding: gzip, chunked"], true),
            (&["transfer-encoding: identity"], true),
            (&["transfer-encoding: "], true),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in headers.iter().filter_map(|line| line.split_once(": ")) {
                map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            assert_eq!(is_doubtful(Version::HTTP_11, &map), doubtful, "{headers:?}");
            assert_eq!(is_doubtful(Version::HTTP_10, &map), doubtful || map.contains_key(TRANSFER_ENCODING));
        }
    }
}
