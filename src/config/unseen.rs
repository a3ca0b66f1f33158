//! Characters that nobody sees, or takes for a plain space.

use super::{
    problem::{Position, Problem, Severity},
    render,
};
use std::borrow::Cow;

/// More of them help nobody.
const TOLD_MAX: usize = 10;

/// The name that Unicode has for a character which is not seen as what it is.
fn name(c: char) -> Option<&'static str> {
    Some(match c {
        '\u{a0}' => "NO-BREAK SPACE",
        '\u{ad}' => "SOFT HYPHEN",
        '\u{34f}' => "COMBINING GRAPHEME JOINER",
        '\u{61c}' => "ARABIC LETTER MARK",
        '\u{180e}' => "MONGOLIAN VOWEL SEPARATOR",
        '\u{2000}'..='\u{200a}' => "a space of another width",
        '\u{200b}' => "ZERO WIDTH SPACE",
        '\u{200c}' => "ZERO WIDTH NON-JOINER",
        '\u{200d}' => "ZERO WIDTH JOINER",
        '\u{200e}' => "LEFT-TO-RIGHT MARK",
        '\u{200f}' => "RIGHT-TO-LEFT MARK",
        '\u{2028}' => "LINE SEPARATOR",
        '\u{2029}' => "PARAGRAPH SEPARATOR",
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => "a change of the direction of writing",
        '\u{202f}' => "NARROW NO-BREAK SPACE",
        '\u{205f}' => "MEDIUM MATHEMATICAL SPACE",
        '\u{2060}' => "WORD JOINER",
        '\u{2061}'..='\u{2064}' => "an invisible operator",
        '\u{3000}' => "IDEOGRAPHIC SPACE",
        '\u{feff}' => "BYTE ORDER MARK",
        '\u{e0000}'..='\u{e007f}' => "an invisible tag",
        _ => return None,
    })
}

/// A character by its code point and name.
fn told(c: char) -> Option<String> {
    name(c).map(|name| format!("U+{:04X} ({name})", u32::from(c)))
}

/// A text with such characters as `<U+200B>`.
pub(super) fn shown(text: &str) -> Cow<'_, str> {
    if !text.contains(|c| name(c).is_some()) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match name(c) {
            Some(_) => shown.push_str(&format!("<U+{:04X}>", u32::from(c))),
            None => shown.push(c),
        }
    }
    shown.into()
}

/// That a key has such a character. `at` is where the key stands.
pub(super) fn in_key(key: &str, at: Position) -> Option<Box<Problem>> {
    let (before, told) = key.chars().enumerate().find_map(|(index, c)| Some((index, told(c)?)))?;
    let what = format!("the key `{}` has {told} in it", shown(key));
    let at = Position { column: at.column + before, width: 1, ..at };
    Some(Box::new(Problem::error(at, "", what, remedy(key.chars().nth(before).unwrap_or_default()))))
}

/// Where a file that is no YAML has such characters, at the latest on this line: what looks right may be wrong for them.
pub(super) fn ahead_of(text: &str, line: usize) -> impl Iterator<Item = Problem> {
    all(text).take_while(move |(at, _)| at.line <= line).take(TOLD_MAX).filter_map(|(at, c)| problem(at, c))
}

/// Warns of such characters in a file that can be read: in a value, they are a part of it.
pub(super) fn in_values(text: &str) -> impl Iterator<Item = Problem> {
    let warning = |problem| Problem { severity: Severity::Warning, ..problem };
    all(text).take(TOLD_MAX).filter_map(move |(at, c)| problem(at, c).map(warning))
}

fn problem(at: Position, c: char) -> Option<Problem> {
    Some(Problem::error(at, "", format!("{} stands here", told(c)?), remedy(c)))
}

fn remedy(c: char) -> &'static str {
    if c.is_whitespace() {
        "write a plain space in its place; within double quotes it can be written as an escape, such as \\u00a0"
    } else {
        "remove it; within double quotes it can be written as an escape, such as \\u200b"
    }
}

/// The first on each line, outside of comments.
fn all(text: &str) -> impl Iterator<Item = (Position, char)> + '_ {
    let lines = if text.is_ascii() { "" } else { text };
    render::lines(lines).enumerate().filter_map(|(index, line)| {
        let end = comment(line);
        let found = line.char_indices().enumerate().find(|(_, (at, c))| *at < end && name(*c).is_some());
        found.map(|(before, (_, c))| (Position { line: index + 1, column: before + 1, width: 1 }, c))
    })
}

/// Where the comment of a line begins. A quote that is open over several lines is not known here.
fn comment(line: &str) -> usize {
    let mut quote = None;
    let mut before = ' ';
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (None, '#') if before.is_whitespace() => return at,
            (None, '"' | '\'') if before.is_whitespace() || "[{,:".contains(before) => quote = Some(c),
            (Some(open), c) if c == open && before != '\\' => quote = None,
            _ => {}
        }
        before = c;
    }
    line.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_found_outside_of_comments() {
        for (text, expected) in [
            ("a: b", &[][..]),
            ("a: b # \u{a0}", &[]),
            ("# \u{200b}\na: b", &[]),
            ("a:\u{a0}b", &[(1, 3)]),
            ("a: 'x # \u{200b}' # \u{200b}", &[(1, 9)]),
            ("a: \"\\\" # \u{200b}\"\n\u{feff}b: c#\u{2066}d", &[(1, 10), (2, 1)]),
        ] {
            let found: Vec<_> = all(text).map(|(at, _)| (at.line, at.column)).collect();
            assert_eq!(found, expected, "{text:?}");
        }
    }

    #[test]
    fn they_are_shown_by_code_point() {
        assert_eq!(shown("a\u{200b}b\u{a0}"), "a<U+200B>b<U+00A0>");
        assert_eq!(told('\u{200b}').as_deref(), Some("U+200B (ZERO WIDTH SPACE)"));
        assert_eq!(told('ä'), None);
    }
}
