//! Traces as W3C Trace Context has them.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Names the trace that a request belongs to.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const VALUE_BYTES_MAX: usize = 128;

/// The `traceparent` of a request where it is valid, which two are not (section 3.2).
#[must_use]
pub fn traceparent(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut given = headers.get_all(TRACEPARENT).iter();
    match (given.next(), given.next()) {
        (Some(one), None) => Some(one).filter(|value| trace_id(value).is_some()),
        _ => None,
    }
}

/// The `traceparent` of a trace that begins here, and is to be recorded.
#[must_use]
pub fn begin() -> String {
    format!("00-{:032x}-{:016x}-01", fastrand::u128(1..), fastrand::u64(1..))
}

/// The trace id of a `traceparent`: 32 hex digits; none where the value is not valid.
#[must_use]
pub fn trace_id(traceparent: &HeaderValue) -> Option<&str> {
    let value = traceparent.to_str().ok().filter(|value| value.len() <= VALUE_BYTES_MAX)?;
    let is_hex = |part: &str, digits: usize| {
        part.len() == digits && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_zero = |part: &str| part.bytes().all(|byte| byte == b'0');
    let mut parts = value.splitn(5, '-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    // A later version may append more; version 00 has exactly these four parts.
    let has_fit_end = parts.next().is_none() || version != "00";
    let is_valid = is_hex(version, 2)
        && version != "ff"
        && has_fit_end
        && is_hex(trace, 32)
        && !is_zero(trace)
        && is_hex(span, 16)
        && !is_zero(span)
        && is_hex(flags, 2);
    is_valid.then_some(trace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_valid_traceparent_names_a_trace() {
        let valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        for (values, is_valid) in [
            (&[valid][..], true),
            (&["cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more"], true),
            (&["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more"], false),
            (&["ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"], false),
            (&["00-00000000000000000000000000000000-00f067aa0ba902b7-01"], false),
            (&["00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"], false),
            (&["00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"], false),
            (&["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01,"], false),
            (&[valid, valid], false),
            (&[valid, "none"], false),
            (&["none", valid], false),
            (&[""], false),
            (&[], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(TRACEPARENT, HeaderValue::from_static(value));
            }
            let found = traceparent(&headers);
            assert_eq!(found.is_some(), is_valid, "{values:?}");
            assert_eq!(found.and_then(trace_id), is_valid.then_some("4bf92f3577b34da6a3ce929d0e0e4736"));
        }
    }

    #[test]
    fn a_trace_that_begins_here_is_valid() {
        assert!(trace_id(&HeaderValue::try_from(begin()).unwrap()).is_some());
    }
}
