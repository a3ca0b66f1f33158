//! Text of others, made fit for a terminal: what comes from a request, a file, a log, a backend or another gateway.

use std::{borrow::Cow, fmt::Write as _};

/// More bytes of one value than this are not shown.
const SHOWN_MAX: usize = 2_000;

/// Returns whether a character could steer a terminal or make a line read as what it is not: C0, DEL and C1 controls, line
/// and paragraph separators, and the bidirectional controls of UAX #9 (CVE-2021-42574).
#[must_use]
pub fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Escapes the hostile characters of one value, line breaks too, as `\u{9b}` or `\n`, and cuts a very long one.
#[must_use]
pub fn escaped(text: &str) -> Cow<'_, str> {
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

/// Escapes the hostile characters of a text of several lines, whose line breaks and tabs stay.
#[must_use]
pub fn lines(text: &str) -> Cow<'_, str> {
    replaced(text, |shown, c| shown.extend(c.escape_default()))
}

/// Escapes the hostile characters of a JSON text as `\u009b`: the value that it stands for is the same. JSON has them
/// within strings only, and has the C0 controls there escaped already (RFC 8259 section 7).
#[must_use]
pub fn json(text: &str) -> Cow<'_, str> {
    // All of them are in the basic plane, so that one escape stands for each.
    replaced(text, |shown, c| {
        // A String takes everything.
        let _ = write!(shown, "\\u{:04x}", u32::from(c));
    })
}

fn replaced(text: &str, escape: impl Fn(&mut String, char)) -> Cow<'_, str> {
    let is_hostile = |c: char| is_hostile(c) && !matches!(c, '\n' | '\t');
    if !text.chars().any(is_hostile) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match is_hostile(c) {
            true => escape(&mut shown, c),
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
            ("\u{7f}\u{61c}\u{2028}", "\\u{7f}\\u{61c}\\u{2028}"),
        ] {
            assert_eq!(escaped(text), expected);
        }
        let long = "x".repeat(10_000);
        assert_eq!(escaped(&long).chars().count(), SHOWN_MAX + 1);
        assert_eq!(lines("a\n\tb\r\u{9b}"), "a\n\tb\\r\\u{9b}");
    }

    #[test]
    fn json_stands_for_the_same_with_its_controls_escaped() {
        for c in ('\0'..='\u{3000}').filter(|c| is_hostile(*c)) {
            let value = serde_json::Value::from(format!("a{c}b"));
            let text = value.to_string();
            let shown = json(&text);
            assert!(!shown.chars().any(is_hostile), "{c:?}: {shown}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value, "{c:?}");
        }
        assert_eq!(json("{\n  \"a\": 1\n}"), "{\n  \"a\": 1\n}");
    }
}
