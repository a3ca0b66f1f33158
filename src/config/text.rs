//! From a file to a text that is worth parsing.

use super::{
    file,
    problem::{Position, Problem},
};
use std::{io, path::Path};

/// A configuration of ten thousand routes has a fourth of this.
pub(super) const TEXT_MAX: usize = 4 << 20;

/// Reads a file, at most a little more than a configuration may have. On failure with the text to show, as far
/// as there is one.
pub(super) fn read(path: &Path) -> Result<String, (Box<Problem>, String)> {
    decoded(file::read(path, TEXT_MAX as u64))
}

/// Returns what was read of a file as text, as [`read`] does.
pub(super) fn decoded(read: io::Result<Vec<u8>>) -> Result<String, (Box<Problem>, String)> {
    let bytes = read.map_err(|error| {
        let remedy = "check the path and that this user may read it";
        (problem(Position::START, format!("the file cannot be read: {error}"), remedy), String::new())
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let (valid, invalid) = error.as_bytes().split_at(error.utf8_error().valid_up_to());
        // Cut at the limit, the last character of a larger file may be half there.
        if error.as_bytes().len() > TEXT_MAX {
            return (too_large(), String::new());
        }
        let byte = invalid.first().copied().unwrap_or_default();
        let at = end_of(&String::from_utf8_lossy(valid));
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        (problem(at, format!("byte 0x{byte:02x} is not UTF-8"), "save the file as UTF-8"), text)
    })
}

/// What is wrong with a text before anything is parsed.
pub(super) fn check(text: &str) -> Result<(), Box<Problem>> {
    if text.len() > TEXT_MAX {
        return Err(too_large());
    }
    // The parser takes NUL for the end of the file, so what follows would be lost without a word.
    if let Some((ahead, _)) = text.split_once(|c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}')) {
        let remedy = "remove it; within double quotes it can be written as an escape, such as \\x1b";
        return Err(problem(end_of(ahead), "a control character, which YAML does not allow".to_owned(), remedy));
    }
    let is_empty = text.lines().map(str::trim).all(|line| line.is_empty() || line.starts_with('#') || line == "---");
    if is_empty { Err(empty()) } else { Ok(()) }
}

/// That there is nothing in it.
pub(super) fn empty() -> Box<Problem> {
    let remedy = "write a first one with `portcullis init`: `version`, `listeners`, `upstreams`, `routes`";
    problem(Position::START, "the configuration is empty".to_owned(), remedy)
}

/// The position just behind a text.
fn end_of(text: &str) -> Position {
    let lines: Vec<&str> = super::render::lines(text).collect();
    let column = lines.last().map_or(0, |line| line.chars().count()) + 1;
    Position { line: lines.len(), column, width: 1 }
}

fn too_large() -> Box<Problem> {
    let what = format!("the file is larger than {} KiB", TEXT_MAX >> 10);
    problem(Position::START, what, "this is probably not a configuration: check the path")
}

fn problem(at: Position, what: String, remedy: &str) -> Box<Problem> {
    Box::new(Problem::error(at, "", what, remedy))
}
