//! Metadata whose values are bytes: names that end in `-bin` (PROTOCOL-HTTP2, "Custom-Metadata").

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::{HeaderMap, HeaderName, HeaderValue};

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Gives each binary value a line of its own, without padding, as gRPC servers are to be sent them. Whoever passes a
/// request on may join its lines by commas, as `fetch` does. What is no base64 stays as it came.
pub fn split(headers: &mut HeaderMap) {
    let is_joined = |value: &HeaderValue| value.as_bytes().iter().any(|byte| matches!(byte, b',' | b'='));
    let joined: Vec<HeaderName> = headers
        .iter()
        .filter(|(name, value)| name.as_str().ends_with("-bin") && is_joined(value))
        .map(|(name, _)| name.clone())
        .collect();
    for name in joined {
        let lines: Vec<HeaderValue> = headers.get_all(&name).iter().flat_map(values).collect();
        headers.remove(&name);
        for line in lines {
            headers.append(&name, line);
        }
    }
}

/// The values of one line.
fn values(line: &HeaderValue) -> Vec<HeaderValue> {
    let value = |element: &[u8]| {
        BASE64.decode(element).ok()?;
        HeaderValue::from_bytes(element.split(|byte| *byte == b'=').next()?).ok()
    };
    let elements = line.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    elements.map(value).collect::<Option<_>>().unwrap_or_else(|| vec![line.clone()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_values_part_and_padding_goes() {
        for (lines, expected) in [
            (&["AAE"][..], &["AAE"][..]),
            (&["AAE="], &["AAE"]),
            (&["AAE,/w==", "Aw"], &["AAE", "/w", "Aw"]),
            (&["AAE, ,/w"], &["AAE", "", "/w"]),
            (&["no base64!, AAE="], &["no base64!, AAE="]),
            (&["A=A="], &["A=A="]),
        ] {
            let (mut headers, name) = (HeaderMap::new(), HeaderName::from_static("x-data-bin"));
            for line in lines {
                headers.append(&name, HeaderValue::from_static(line));
                headers.append("x-text", HeaderValue::from_static(line));
            }
            split(&mut headers);
            let found: Vec<&str> = headers.get_all(&name).iter().map(|value| value.to_str().unwrap()).collect();
            assert_eq!(found, expected, "{lines:?}");
            assert!(headers.get_all("x-text").iter().eq(lines.iter()), "text may hold commas");
        }
    }
}
