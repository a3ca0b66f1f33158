//! Header fields that hold a list, and those that may stand once.

use http::{HeaderMap, HeaderName, HeaderValue};

/// A field that may stand once stands more often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeated;

/// Gives the elements of a list field, from all its lines, trimmed; empty ones are left out (RFC 9110 sections 5.3
/// and 5.6.1.2).
pub fn elements<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    let lines = headers.get_all(name).into_iter();
    let elements = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    elements.map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// Gives the value of a field that may stand once.
///
/// # Errors
/// Where it stands more often.
pub fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, Repeated> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (line, None) => Ok(line),
        _ => Err(Repeated),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_lines_of_a_list_count_and_a_single_field_stands_once() {
        let name = HeaderName::from_static("x-list");
        for (lines, expected, value) in [
            (&[][..], &[][..], Ok(None)),
            (&["a"], &["a"], Ok(Some("a"))),
            (&["a, ,b\t,"], &["a", "b"], Ok(Some("a, ,b\t,"))),
            (&["a", "", "b,c"], &["a", "b", "c"], Err(Repeated)),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(&name, line.parse().unwrap());
            }
            let found: Vec<&[u8]> = elements(&headers, &name).collect();
            assert_eq!(found, expected.iter().map(|element| element.as_bytes()).collect::<Vec<_>>(), "{lines:?}");
            let single = single(&headers, &name).map(|value| value.map(|value| value.to_str().unwrap()));
            assert_eq!(single, value, "{lines:?}");
        }
    }
}
