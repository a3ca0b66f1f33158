//! What is wrong with a configuration, where, and what to write instead.

use super::render;
use serde::Serialize;
use std::fmt;

/// More than these help nobody, and a hostile file could bring hundreds of thousands.
const SHOWN_MAX: usize = 100;
/// Nor are many more looked for: each costs a search for what was meant.
pub(super) const FOUND_MAX: usize = 1_000;

/// A place in a configuration file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// How many characters the culprit has on its line; 0 for what is not written.
    #[serde(skip)]
    pub width: usize,
}

impl Position {
    /// The beginning of the file.
    pub const START: Self = Self { line: 1, column: 1, width: 1 };
}

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The configuration is not used.
    Error,
    /// The configuration works, but probably not as it is meant.
    Warning,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where.
    #[serde(flatten)]
    pub at: Position,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub what: String,
    /// What to write or do instead.
    pub remedy: String,
    /// JSON pointer to the culprit; empty for the file as a whole.
    pub path: String,
    /// Whether its line may be shown. Not where a secret was written by mistake.
    #[serde(skip)]
    pub shows_line: bool,
}

impl Problem {
    pub(super) fn error(at: Position, path: &str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        let (what, remedy, path) = (what.into(), remedy.into(), path.to_owned());
        Self { at, severity: Severity::Error, what, remedy, path, shows_line: true }
    }
}

/// Everything that was found in one file, by position. Shown with [`fmt::Display`] as text.
#[derive(Debug, Clone, thiserror::Error)]
pub struct Report {
    file: String,
    lines: Vec<String>,
    problems: Vec<Problem>,
    left_out: usize,
}

impl Report {
    /// A report over this text. Problems said twice (a part that is used through aliases) are kept once, and
    /// of very many only the first, the errors ahead of the warnings.
    pub(super) fn new(file: &str, text: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|a, b| (a.at, a.severity, &a.what).cmp(&(b.at, b.severity, &b.what)));
        problems.dedup_by(|a, b| (a.at, &a.what) == (b.at, &b.what));
        let left_out = problems.len().saturating_sub(SHOWN_MAX);
        if left_out > 0 {
            // A report that had lost its errors among warnings would let the configuration be used.
            problems.sort_by_key(|problem| problem.severity);
            problems.truncate(SHOWN_MAX);
            problems.sort_by_key(|problem| problem.at);
        }
        let all = render::lines(text);
        let lines = all.map(str::to_owned).take(problems.iter().map(|p| p.at.line).max().unwrap_or(0)).collect();
        Self { file: file.to_owned(), lines, problems, left_out }
    }

    /// The file, as it was named.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The problems, by position.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// How many more were found than [`Self::problems`] has. There can be more yet.
    #[must_use]
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// Whether any of it keeps the configuration from being used.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// The problems as a JSON array of objects with `file`, `line`, `column`, `severity`, `what`, `remedy`
    /// and `path`.
    #[must_use]
    pub fn json(&self) -> String {
        Self::json_of(std::slice::from_ref(self))
    }

    /// The problems of several files as one such array.
    #[must_use]
    pub fn json_of<'a>(reports: &'a [Self]) -> String {
        #[derive(Serialize)]
        struct Entry<'b> {
            file: &'b str,
            #[serde(flatten)]
            problem: &'b Problem,
        }
        let entries_of = |report: &'a Self| report.problems.iter().map(|problem| Entry { file: &report.file, problem });
        let entries: Vec<_> = reports.iter().flat_map(entries_of).collect();
        serde_json::to_string_pretty(&entries).unwrap_or_default()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            let line = problem.at.line.checked_sub(1).and_then(|index| self.lines.get(index));
            render::problem(f, &self.file, line.map(String::as_str), problem)?;
        }
        match self.left_out {
            0 => Ok(()),
            more => writeln!(f, "\nand at least {more} more problems"),
        }
    }
}
