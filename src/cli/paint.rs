//! How text looks in a terminal: wrapped at words, and painted by what its lines begin with. What is written elsewhere is
//! the same text without either.

use anstyle::{AnsiColor, Style};
use std::borrow::Cow;
use textwrap::Options;

/// What a text is, and so how its lines are painted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// Nothing in particular.
    Plain,
    /// `FILE:LINE:COLUMN: what`, a line with carets below it, `help:`; or a closing line.
    Problems,
    /// Labels at the left margin, filters with `✓` and `✗`.
    Explanation,
    /// `ok` and `FAIL`.
    Tests,
    /// `+`, `-` and `~`.
    Changes,
    /// A head line above columns, of which the last is wrapped.
    Table,
}

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const RED: Style = AnsiColor::Red.on_default();
const GREEN: Style = AnsiColor::Green.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const CYAN: Style = AnsiColor::Cyan.on_default();

/// Returns the text as it looks: wrapped to so many columns where they are known, in colours where it has them.
pub(super) fn dressed(text: &str, look: Look, columns: Option<usize>, has_colours: bool) -> String {
    let lines: Vec<&str> = text.split('\n').collect();
    let last_column = lines.first().filter(|_| look == Look::Table).and_then(|head| head.rfind(' ')).map(|at| at + 1);
    let mut dressed = Vec::with_capacity(lines.len());
    for (index, line) in lines.iter().enumerate() {
        let carets_below = lines.get(index + 1).is_some_and(|below| is_carets(below));
        let is_whole = is_carets(line) || carets_below;
        let wrapped = match columns {
            Some(columns) if !is_whole => wrapped(line, columns, last_column),
            _ => vec![Cow::Borrowed(*line)],
        };
        for (part, line) in wrapped.into_iter().enumerate() {
            let is_painted = has_colours && (part == 0);
            dressed.push(if is_painted { painted(&line, look, index) } else { line.into_owned() });
        }
    }
    dressed.join("\n")
}

/// A line in parts of so many columns, those behind the first set in to the last column of a table, or by four more than
/// the line is. Words stay whole.
fn wrapped(line: &str, columns: usize, last_column: Option<usize>) -> Vec<Cow<'_, str>> {
    if columns < 20 || textwrap::core::display_width(line) <= columns {
        return vec![line.into()];
    }
    let inset = line.len() - line.trim_start().len();
    let indent = last_column.filter(|column| column + 16 <= columns).unwrap_or((inset + 4).min(columns / 2));
    let indent = " ".repeat(indent);
    textwrap::wrap(line, Options::new(columns).subsequent_indent(&indent).break_words(false))
}

fn is_carets(line: &str) -> bool {
    let carets = line.trim_start();
    !carets.is_empty() && carets.bytes().all(|byte| byte == b'^')
}

fn painted(line: &str, look: Look, index: usize) -> String {
    let in_style = |style: Style, text: &str| format!("{style}{text}{style:#}");
    match look {
        Look::Plain => line.to_owned(),
        Look::Table if index == 0 => in_style(BOLD, line),
        Look::Table => line.to_owned(),
        Look::Problems => problem(line),
        Look::Tests => match line.split_at_checked(4) {
            Some(("ok  ", rest)) => format!("{}{rest}", in_style(GREEN, "ok  ")),
            Some(("FAIL", rest)) => format!("{}{rest}", in_style(RED.bold(), "FAIL")),
            _ => line.to_owned(),
        },
        Look::Changes => {
            let style = match line.chars().next() {
                Some('+') => GREEN,
                Some('-') => RED,
                Some('~') => YELLOW,
                _ => return line.to_owned(),
            };
            in_style(style, line)
        }
        Look::Explanation => explanation(line),
    }
}

fn problem(line: &str) -> String {
    let in_style = |style: Style, text: &str| format!("{style}{text}{style:#}");
    if is_carets(line) {
        return in_style(RED.bold(), line);
    }
    if let Some(help) = line.strip_prefix("  help: ") {
        return format!("  {} {help}", in_style(CYAN, "help:"));
    }
    match placed(line) {
        Some((place, what)) => match what.strip_prefix("warning: ") {
            Some(what) => format!("{place}: {} {}", in_style(YELLOW.bold(), "warning:"), in_style(BOLD, what)),
            None => format!("{place}: {}", in_style(BOLD, what)),
        },
        None => line.to_owned(),
    }
}

/// A line that begins with `FILE:LINE:COLUMN: `.
fn placed(line: &str) -> Option<(&str, &str)> {
    let (place, what) = line.split_once(": ")?;
    let mut numbers = place.rsplitn(3, ':');
    let is_number = |text: Option<&str>| text.is_some_and(|text| text.parse::<usize>().is_ok());
    (is_number(numbers.next()) && is_number(numbers.next())).then_some((place, what))
}

fn explanation(line: &str) -> String {
    let in_style = |style: Style, text: &str| format!("{style}{text}{style:#}");
    for (mark, style) in [("✓", GREEN), ("✗", RED.bold()), ("!", YELLOW), ("?", YELLOW), ("·", DIM)] {
        let found = line.split_once(mark).filter(|(ahead, _)| matches!(ahead.trim(), "" | "filters"));
        if let Some((ahead, behind)) = found {
            return format!("{ahead}{}{behind}", in_style(style, mark));
        }
    }
    let label_end = line.find(' ').unwrap_or(line.len());
    match line.split_at_checked(label_end) {
        Some((label, rest)) if !label.is_empty() => {
            let style = if matches!(label, "refused" | "undecided") { RED.bold() } else { BOLD };
            format!("{}{rest}", in_style(style, label))
        }
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dressed_in(look: Look, columns: usize, text: &str) -> String {
        dressed(text, look, Some(columns), false)
    }

    #[test]
    fn long_lines_are_wrapped_at_words_and_excerpts_stay_whole() {
        let problem = "gw.yaml:1:2: there is no upstream `a`\n    forward: aaaaaaaaaaaaaaaaaaaaaaaaa\n             ^^^^\n  help: name one of these: b, c";
        assert_eq!(
            dressed_in(Look::Problems, 30, problem),
            "gw.yaml:1:2: there is no\n    upstream `a`\n    forward: aaaaaaaaaaaaaaaaaaaaaaaaa\n             ^^^^\n  \
             help: name one of these: b,\n      c"
        );
        let word = "x".repeat(50);
        assert_eq!(dressed_in(Look::Plain, 30, &word), word);
        assert_eq!(
            dressed_in(Look::Table, 28, "A    B  C\naaa  b  1234567 1234567 1234567"),
            "A    B  C\naaa  b  1234567 1234567\n        1234567"
        );
        assert_eq!(dressed(problem, Look::Problems, None, false), problem);
    }

    #[test]
    fn paint_changes_nothing_but_the_colours() {
        for (look, text) in [
            (Look::Problems, "a:1:2: warning: w\n   x\n   ^\n  help: h\n\na:1:3: e\na cannot be used"),
            (
                Look::Explanation,
                "GET /a  from 1\nfilters   ✓ ip  passed\n          ✗ body  refused\nrefused   A: b\n    x: y",
            ),
            (Look::Tests, "ok    a:1  b\nFAIL  a:2  c\n      d\n1 test"),
            (Look::Changes, "+ a\n- b\n~ c\n    d\n1 changed"),
            (Look::Table, "A  B\na  b"),
        ] {
            let painted = dressed(text, look, None, true);
            assert!(painted.contains('\x1b'), "{look:?}");
            assert_eq!(anstream::adapter::strip_str(&painted).to_string(), text);
        }
    }
}
