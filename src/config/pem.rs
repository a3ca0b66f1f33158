//! Keys and certificates as secret stores, editors and shells hand them over.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::{collections::BTreeSet, fmt::Write as _};

const BEGIN: &str = "-----BEGIN ";
/// The length of a line (RFC 7468, section 2).
const LINE: usize = 64;

/// What a file or variable holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Contents {
    /// PEM sections, one below the other, each with the line ends of RFC 7468. What was around them is left out.
    Pem(String),
    /// DER, as it is or in base64 without the lines around it.
    Der(Vec<u8>),
    /// Something else; why that is no PEM.
    Other(&'static str),
}

impl Contents {
    /// Reads it, whatever has become of its line ends: CR LF, spaces, `\n` in two characters, none at all. A byte order
    /// mark, blanks and quotes around it, and base64 of the whole are taken off.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
            return Self::Other("it is UTF-16: save it as UTF-8");
        }
        if is_der(bytes) {
            return Self::Der(bytes.to_owned());
        }
        let Ok(text) = std::str::from_utf8(bytes) else { return Self::Other("it is not a PEM text") };
        let text = bare(text);
        if text.contains(BEGIN) {
            return Self::Pem(sections(text));
        }
        let joined: String = text.replace("\\r", "").replace("\\n", "").split_whitespace().collect();
        match STANDARD.decode(joined) {
            Ok(decoded) if is_der(&decoded) => Self::Der(decoded),
            Ok(decoded) => match std::str::from_utf8(&decoded).map(bare) {
                Ok(inner) if inner.contains(BEGIN) => Self::Pem(sections(inner)),
                _ => Self::Other("there is no PEM section in it"),
            },
            Err(_) => Self::Other("there is no PEM section in it"),
        }
    }
}

/// The labels of the sections of PEM, in words; nothing where it has none.
pub(crate) fn labels(pem: &str) -> Option<String> {
    let label = |section: &str| section.split_once("-----").map(|(label, _)| label.to_owned());
    let labels: BTreeSet<String> = pem.split(BEGIN).skip(1).filter_map(label).collect();
    let labels: Vec<String> = labels.into_iter().filter(|label| label.len() <= 40).collect();
    (!labels.is_empty()).then(|| labels.join(" and a "))
}

/// Whether it begins as the DER of a key or certificate does: a sequence that is as long as it says.
fn is_der(bytes: &[u8]) -> bool {
    let (length, header) = match bytes {
        [0x30, 0x82, high, low, ..] => (usize::from(*high) << 8 | usize::from(*low), 4),
        [0x30, 0x81, length, ..] => (usize::from(*length), 3),
        [0x30, length @ 0x10..=0x7f, ..] => (usize::from(*length), 2),
        _ => return false,
    };
    bytes.len() == length + header
}

/// A text without a byte order mark, blanks and one pair of quotes around it.
fn bare(text: &str) -> &str {
    let text = text.trim_start_matches('\u{feff}').trim();
    let unquoted = |quote| text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote));
    unquoted('"').or_else(|| unquoted('\'')).map_or(text, str::trim)
}

/// The sections of a text, each with its lines anew. One that has no end is kept as it is, for the parser to refuse.
fn sections(text: &str) -> String {
    let text = text.replace("\\r", "").replace("\\n", "\n");
    let mut sections = String::with_capacity(text.len());
    for section in text.split(BEGIN).skip(1) {
        let whole = section.split_once("-----").and_then(|(label, rest)| {
            let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
            Some((label, body))
        });
        // A section with headers (RFC 1421) is an encrypted key: its lines are not all base64.
        let Some((label, body)) = whole.filter(|(_, body)| !body.contains(':')) else {
            let _ = write!(sections, "{BEGIN}{section}");
            continue;
        };
        let body: Vec<char> = body.chars().filter(|c| !c.is_whitespace()).collect();
        let _ = writeln!(sections, "{BEGIN}{label}-----");
        for line in body.chunks(LINE) {
            let _ = writeln!(sections, "{}", line.iter().collect::<String>());
        }
        let _ = writeln!(sections, "-----END {label}-----");
    }
    sections
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\n-----END PRIVATE KEY-----\n";

    #[test]
    fn a_key_is_read_in_whatever_form_it_comes() {
        let body = KEY.lines().nth(1).unwrap();
        let one_line = KEY.trim().replace('\n', " ");
        for (form, text) in [
            ("as it is", KEY.to_owned()),
            ("CR LF", KEY.replace('\n', "\r\n")),
            ("CR", KEY.replace('\n', "\r")),
            ("escapes", KEY.replace('\n', "\\n")),
            ("escapes of CR LF", KEY.replace('\n', "\\r\\n")),
            ("spaces", one_line.clone()),
            ("nothing between", KEY.replace('\n', "")),
            ("quotes", format!("\"{}\"\n", KEY.replace('\n', "\\n"))),
            ("single quotes", format!("'{one_line}'")),
            ("byte order mark", format!("\u{feff}{KEY}")),
            ("blanks", format!("  \n\t{}  \n", KEY.replace('\n', " \n   "))),
            ("text around", format!("key of the signer\n{KEY}end\n")),
            ("base64", STANDARD.encode(KEY)),
            ("base64 in lines", format!("{}\n", STANDARD.encode(KEY).replace('C', "C\n"))),
        ] {
            assert_eq!(Contents::of(text.as_bytes()), Contents::Pem(KEY.to_owned()), "{form}");
        }
        let der = STANDARD.decode(body).unwrap();
        assert_eq!(Contents::of(&der), Contents::Der(der.clone()));
        assert_eq!(Contents::of(format!("{body}\n").as_bytes()), Contents::Der(der));
    }

    #[test]
    fn what_is_no_key_is_named() {
        for (bytes, expected) in [
            (&b"password"[..], "there is no PEM section in it"),
            (b"", "there is no PEM section in it"),
            (b"\xff\xfe-\0", "it is UTF-16: save it as UTF-8"),
            (b"\xc3\x28", "it is not a PEM text"),
        ] {
            assert_eq!(Contents::of(bytes), Contents::Other(expected));
        }
        let two = format!("{KEY}{}", KEY.replace("PRIVATE", "PUBLIC"));
        assert_eq!(labels(&two).as_deref(), Some("PRIVATE KEY and a PUBLIC KEY"));
        let open = "-----BEGIN PRIVATE KEY-----\nMC4";
        assert_eq!(Contents::of(open.as_bytes()), Contents::Pem(open.to_owned()));
    }
}
