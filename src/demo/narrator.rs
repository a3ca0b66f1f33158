//! The story's voice.

use super::Failed;
use crate::printable;
use std::io::Write;

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
    /// To where it is to be told, in colour or not.
    #[must_use]
    pub fn new(out: impl Write + Send + 'static, has_colours: bool) -> Self {
        Self { out: Box::new(out), has_colours }
    }

    /// Begins a chapter.
    pub fn chapter(&mut self, title: &str) {
        let title = self.painted("1", title);
        self.line(&format!("\n{title}"));
    }

    /// Tells what was tried, and what came as promised.
    pub fn held(&mut self, step: &str, came: &str) {
        let mark = self.painted("32", "✓");
        self.line(&format!("  {mark} {} → {}", printable::lines(step), printable::lines(came)));
    }

    /// Tells what was not taken, as it should not be.
    pub fn refused(&mut self, step: &str, came: &str) {
        let mark = self.painted("33", "✗");
        self.line(&format!("  {mark} {} → {}", printable::lines(step), printable::lines(came)));
    }

    /// Tells more of it, line by line.
    pub fn aside(&mut self, text: &str) {
        text.lines().for_each(|line| self.line(&format!("      {}", printable::lines(line))));
    }

    /// Tells what did not.
    pub fn failed(&mut self, failed: &Failed) {
        let mark = self.painted("31", "✗");
        self.line(&format!("  {mark} {}", printable::lines(&failed.to_string())));
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
