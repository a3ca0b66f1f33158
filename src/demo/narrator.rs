//! The story's voice.

use super::Failed;
use std::io::{self, IsTerminal as _, Write};

/// Prints the story: chapters, what was seen to hold, and what did not.
pub struct Narrator {
    out: Box<dyn Write + Send>,
    has_colours: bool,
}

impl std::fmt::Debug for Narrator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Narrator").field("has_colours", &self.has_colours).finish_non_exhaustive()
    }
}

impl Narrator {
    /// To standard output; in colour on a terminal, unless `NO_COLOR` is set.
    #[must_use]
    pub fn to_stdout() -> Self {
        let has_colours = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
        Self { out: Box::new(io::stdout()), has_colours }
    }

    /// In plain text.
    #[must_use]
    pub fn plain(out: impl Write + Send + 'static) -> Self {
        Self { out: Box::new(out), has_colours: false }
    }

    /// Begins a chapter.
    pub fn chapter(&mut self, title: &str) {
        let title = self.painted("1", title);
        self.line(&format!("\n{title}"));
    }

    /// Tells what was tried, and what came as promised.
    pub fn held(&mut self, step: &str, came: &str) {
        let mark = self.painted("32", "✓");
        self.line(&format!("  {mark} {step} → {came}"));
    }

    /// Tells what was not taken, as it should not be.
    pub fn refused(&mut self, step: &str, came: &str) {
        let mark = self.painted("33", "✗");
        self.line(&format!("  {mark} {step} → {came}"));
    }

    /// Tells more of it, line by line.
    pub fn aside(&mut self, text: &str) {
        text.lines().for_each(|line| self.line(&format!("      {line}")));
    }

    /// Tells what did not.
    pub fn failed(&mut self, failed: &Failed) {
        let mark = self.painted("31", "✗");
        self.line(&format!("  {mark} {failed}"));
    }

    /// A line as it is.
    pub fn line(&mut self, line: &str) {
        // A reader that hung up does not stop the checks: the exit code still tells.
        let _ = writeln!(self.out, "{line}").and_then(|()| self.out.flush());
    }

    fn painted(&self, colour: &str, text: &str) -> String {
        if self.has_colours { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
