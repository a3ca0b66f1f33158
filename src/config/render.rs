//! Problems as text.

use super::{
    problem::{Problem, Severity},
    unseen,
};
use std::{borrow::Cow, fmt};

/// A longer line is cut around the culprit, so that a file of one line stays readable.
const LINE_SHOWN_MAX: usize = 160;
/// A message that lists what there is has about this many.
const MESSAGE_MAX: usize = 400;

/// The lines of a text, split where YAML splits them: LF, CR LF, and CR alone.
pub(super) fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

/// Writes one problem: `file:line:column: what`, the line with a caret under the culprit, the remedy.
pub(super) fn problem(f: &mut fmt::Formatter<'_>, file: &str, line: Option<&str>, problem: &Problem) -> fmt::Result {
    let Problem { at, severity, what, remedy, shows_line, .. } = problem;
    let warning = if *severity == Severity::Warning { "warning: " } else { "" };
    writeln!(f, "{file}:{}:{}: {warning}{}", at.line, at.column, printable(&shortened(what)))?;
    if let Some(line) = line.filter(|line| *shows_line && !line.trim().is_empty()) {
        let (shown, before) = cut(line, at.column.saturating_sub(1));
        // A character that is shown by its code point is wider there.
        let width = |part: &mut dyn Iterator<Item = char>| printable(&part.collect::<String>()).chars().count();
        let (indent, carets) =
            (width(&mut shown.chars().take(before)), width(&mut shown.chars().skip(before).take(at.width)));
        writeln!(f, "    {}", printable(&mask_userinfo(&shown)))?;
        writeln!(f, "    {}{}", " ".repeat(indent), "^".repeat(carets.max(1)))?;
    }
    writeln!(f, "  help: {}", printable(&shortened(remedy)))
}

/// A message without the rest of a value that somebody wrote a whole text into.
fn shortened(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(MESSAGE_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()).into(),
        None => text.into(),
    }
}

/// The part of a line that is shown, and how many of its characters stand ahead of the culprit.
fn cut(line: &str, before: usize) -> (String, usize) {
    let line = line.replace('\t', " ");
    let length = line.chars().count();
    let before = before.min(length);
    if length <= LINE_SHOWN_MAX {
        return (line, before);
    }
    let start = before.saturating_sub(LINE_SHOWN_MAX / 2);
    let shown: String = line.chars().skip(start).take(LINE_SHOWN_MAX).collect();
    (shown, before - start)
}

/// A text that cannot steer a terminal: names come from the file, and values from the environment.
fn printable(text: &str) -> Cow<'_, str> {
    // Bidirectional overrides make a line read as what it is not (CVE-2021-42574).
    let text = unseen::shown(text);
    if text.chars().any(char::is_control) { text.replace(char::is_control, "\u{fffd}").into() } else { text }
}

/// A text whose URLs have `***` where a name and password stood.
pub(super) fn mask_userinfo(text: &str) -> Cow<'_, str> {
    let Some((ahead, rest)) = text.split_once("://") else { return text.into() };
    let authority_end = rest.find(|c: char| c == '/' || c.is_whitespace()).unwrap_or(rest.len());
    // A password with a character that ends an authority: more is masked than has to be.
    let quoted = rest.split(['"', '\'', ',', '\n']).next().unwrap_or_default();
    let authority_end = match quoted.rfind('@') {
        Some(at) if !rest.get(..authority_end).is_some_and(|authority| authority.contains('@')) => {
            let is_password = quoted.get(..at).is_some_and(|userinfo| userinfo.contains(':'));
            if is_password { at + 1 } else { authority_end }
        }
        _ => authority_end,
    };
    let (authority, behind) = rest.split_at_checked(authority_end).unwrap_or((rest, ""));
    let behind = mask_userinfo(behind);
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{ahead}://***@{host}{behind}").into(),
        None if matches!(behind, Cow::Borrowed(_)) => text.into(),
        None => format!("{ahead}://{authority}{behind}").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_where_yaml_breaks_them() {
        let check = |text: &str, expected: &[&str]| assert_eq!(lines(text).collect::<Vec<_>>(), expected, "{text:?}");
        check("a\nb\r\nc\rd", &["a", "b", "c", "d"]);
        check("a\n\nb\n", &["a", "", "b", ""]);
        check("", &[""]);
    }

    #[test]
    fn passwords_in_urls_are_masked() {
        let check = |text: &str, expected: &str| assert_eq!(mask_userinfo(text), expected);
        check("http://10.0.0.1:80", "http://10.0.0.1:80");
        check("http://user:pa@ss@host/x@y", "http://***@host/x@y");
        check("[http://a, https://u:p@b:1/]", "[http://a, https://***@b:1/]");
        check("redis://u:p p@host/0", "redis://***@host/0");
        check("redis://u:p/p@host:1/0", "redis://***@host:1/0");
        check("http://a.b/x@y", "http://a.b/x@y");
        check("no url, a@b", "no url, a@b");
    }

    #[test]
    fn a_long_line_is_cut_around_the_culprit() {
        let line = format!("{}culprit{}", "a".repeat(5_000), "b".repeat(5_000));
        let (shown, before) = cut(&line, 5_000);
        assert_eq!(shown.chars().count(), LINE_SHOWN_MAX);
        assert!(shown.chars().skip(before).collect::<String>().starts_with("culprit"));
    }
}
