//! What comes from a request, a log or a backend, made fit for a terminal.

use std::borrow::Cow;

/// More of a value than this is not shown.
const SHOWN_MAX: usize = 2_000;

/// The text with control characters escaped, and with those that would make a line read as what it is not
/// (CVE-2021-42574); cut where it is very long.
#[must_use]
pub fn escaped(text: &str) -> Cow<'_, str> {
    let is_hostile = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if text.len() <= SHOWN_MAX && !text.chars().any(is_hostile) {
        return text.into();
    }
    let mut shown = String::new();
    for c in text.chars() {
        if shown.len() >= SHOWN_MAX {
            shown.push('…');
            break;
        }
        match is_hostile(c) {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    shown.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_value_steers_a_terminal() {
        for (text, expected) in [
            ("plain ä ✓", "plain ä ✓"),
            ("a\x1b[2Jb", "a\\u{1b}[2Jb"),
            ("a\r\nb\t", "a\\r\\nb\\t"),
            ("\u{202e}evil", "\\u{202e}evil"),
            ("\u{9b}31m", "\\u{9b}31m"),
        ] {
            assert_eq!(escaped(text), expected);
        }
        let long = "x".repeat(10_000);
        assert_eq!(escaped(&long).chars().count(), SHOWN_MAX + 1);
    }
}
