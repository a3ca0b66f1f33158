//! What is wrong with a text that is no YAML.

use super::{
    problem::{Position, Problem},
    render,
};
use saphyr_parser::ScanError;

/// What the parser says of a tab that stands between a colon and a plain value, which YAML allows (1.2.2, 6.2).
const TAB: &str = "':' must be followed by a valid YAML whitespace";

/// The text with spaces in place of the tabs behind the colon at which parsing has ended; none where that is not why.
pub(super) fn without_tabs(text: &str, error: &ScanError) -> Option<String> {
    if error.info() != TAB {
        return None;
    }
    let (line, before) = place(text, error)?;
    let ahead = line.get(..before)?;
    let blanks = ahead.trim_end_matches([' ', '\t']).len();
    // Of the text, as its lines are parts of it.
    let start = line.as_ptr().addr() - text.as_ptr().addr();
    let replaced = " ".repeat(before - blanks);
    let (ahead, behind) = (text.get(..start + blanks)?, text.get(start + before..)?);
    Some(format!("{ahead}{replaced}{behind}"))
}

/// The line on which parsing ended, and how many bytes of it are ahead of that place.
fn place<'a>(text: &'a str, error: &ScanError) -> Option<(&'a str, usize)> {
    let line = render::lines(text).nth(error.marker().line().checked_sub(1)?)?;
    let before = line.char_indices().nth(error.marker().col()).map_or(line.len(), |(at, _)| at);
    Some((line, before))
}

/// What is wrong, where, and the remedy.
pub(super) fn problem(text: &str, error: &ScanError) -> Problem {
    let at = Position { line: error.marker().line(), column: error.marker().col() + 1, width: 1 };
    let (line, before) = place(text, error).unwrap_or_default();
    let (ahead, behind) = line.split_at_checked(before).unwrap_or_default();
    if ahead.ends_with('$') && behind.starts_with('{') {
        let what = "within braces and brackets YAML does not take `${…}` as a text unless it is quoted";
        return Problem::error(at, "", what, format!("write {}", quoted(ahead, behind)));
    }
    let info = error.info();
    let remedy = if info == TAB {
        "write a space in place of the tab".to_owned()
    } else if behind.starts_with(['*', '&', '%', '@', '`', '!']) || info.contains("anchor") {
        let value = behind.split([' ', '\t', ',', ']', '}']).next().unwrap_or_default();
        let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "-_".contains(c));
        match value.strip_prefix('*').filter(|name| is_name(name)) {
            Some(name) => format!("write `&{name}` at an earlier value, or quote it: `\"{value}\"`"),
            None => format!("quote it: `\"{value}\"`"),
        }
    } else if info.contains("tab") {
        "indent with spaces: YAML has no tabs there".to_owned()
    } else if info.contains("quoted scalar") {
        "close the quote, and write `\\\\` for a backslash within double quotes".to_owned()
    } else {
        "check the indentation, brackets, quotes and colons here and on the lines above".to_owned()
    };
    Problem::error(at, "", format!("this is not YAML: {info}"), remedy)
}

/// The value around a `${` in quotes: `"${HOST}:80"`. `ahead` ends with the `$`.
fn quoted(ahead: &str, behind: &str) -> String {
    let start = ahead.rfind(['{', '[', ',']).map_or(0, |at| at + 1);
    let value = ahead.get(start..).unwrap_or_default();
    let value = value.rsplit_once(": ").map_or(value, |(_, value)| value).trim_start();
    let end = behind.find('}').map_or(behind.len(), |brace| {
        let rest = behind.get(brace + 1..).unwrap_or_default();
        brace + 1 + rest.find([',', '}', ']', ' ']).unwrap_or(rest.len())
    });
    format!("`\"{value}{}\"`", behind.get(..end).unwrap_or_default())
}
