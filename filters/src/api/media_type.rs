//! The media type of a request's body.

use http::{HeaderMap, header::CONTENT_TYPE};

/// What `Content-Type` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaType {
    /// The type without its parameters, in lower case (RFC 9110 section 8.3.1).
    pub essence: String,
    /// Whether no parameter names another charset than UTF-8.
    pub is_utf_8: bool,
}

impl MediaType {
    /// Reads the one media type of a request; none where it is missing, repeated or no text.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut lines = headers.get_all(CONTENT_TYPE).iter();
        let (Some(line), None) = (lines.next(), lines.next()) else { return None };
        let mut parts = line.to_str().ok()?.split(';').map(str::trim);
        let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
        let is_utf_8 = parts.filter(|part| names_charset(part)).all(is_utf_8);
        Some(Self { essence, is_utf_8 })
    }
}

fn is_utf_8(parameter: &str) -> bool {
    parameter.split_once('=').is_some_and(|(name, value)| {
        name.eq_ignore_ascii_case("charset") && value.trim_matches('"').eq_ignore_ascii_case("utf-8")
    })
}

/// Whether some reader could take a parameter for the charset: `charset =utf-7` and `charset*=utf-8''utf-7` are not
/// what RFC 9110 section 8.3.1 says, but some backends would decode by them what was counted as UTF-8.
fn names_charset(parameter: &str) -> bool {
    parameter.get(.."charset".len()).is_some_and(|name| name.eq_ignore_ascii_case("charset"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_type_stands_once_and_says_its_charset() {
        for (lines, expected) in [
            (&[][..], None),
            (&["Application/JSON"], Some(("application/json", true))),
            (&["application/json; charset=\"UTF-8\"; a=b"], Some(("application/json", true))),
            (&["application/json ;charset=utf-16"], Some(("application/json", false))),
            (&["application/json;CHARSET=latin1"], Some(("application/json", false))),
            (&["application/json;charset =utf-8"], Some(("application/json", false))),
            (&["application/json;charset*=utf-8''utf-7"], Some(("application/json", false))),
            (&["application/json;charset=utf-8;charset=utf-16"], Some(("application/json", false))),
            (&["application/json;charset"], Some(("application/json", false))),
            (&["application/json", "application/json"], None),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(CONTENT_TYPE, line.parse().unwrap());
            }
            let expected = expected.map(|(essence, is_utf_8)| MediaType { essence: essence.to_owned(), is_utf_8 });
            assert_eq!(MediaType::of(&headers), expected, "{lines:?}");
        }
    }
}
