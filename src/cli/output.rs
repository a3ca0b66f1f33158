//! Where commands print to, and what becomes of output that cannot be written.
//!
//! Everything that a command says passes here: controls of a terminal that stand in what others wrote are escaped, and in a
//! terminal lines are wrapped at words and painted.

use super::paint::{self, Look};
use crate::printable;
use anstream::{AutoStream, ColorChoice};
use std::{
    io::{self, IsTerminal as _, Write},
    process::ExitCode,
    sync::{Mutex, PoisonError},
};

/// The first write to stdout that failed: a process has one stdout.
static FAULT: Mutex<Option<io::Error>> = Mutex::new(None);

/// Prints text for people to stdout, with a line break behind it.
pub(super) fn show(look: Look, text: &str) {
    let text = printable::lines(text.trim_end_matches('\n'));
    let stdout = io::stdout();
    let width = stdout.is_terminal().then(|| terminal_size::terminal_size_of(&stdout)).flatten();
    print(&paint::dressed(&text, look, width.map(|(width, _)| usize::from(width.0)), has_colours()));
}

/// Prints JSON to stdout, with a line break behind it.
pub(super) fn show_json(json: &str) {
    print(&printable::json(json.trim_end_matches('\n')));
}

/// Prints to stdout what the program itself holds and other programs read: byte for byte.
pub(super) fn print_as_is(text: &[u8]) {
    note(write(&mut io::stdout().lock(), text));
}

/// Whether what is printed to stdout is in colour.
pub(super) fn has_colours() -> bool {
    AutoStream::choice(&io::stdout()) != ColorChoice::Never
}

/// Prints the help of a command line to stdout.
pub(super) fn print_help(help: &clap::builder::StyledStr) {
    let text = if has_colours() { help.ansi().to_string() } else { help.to_string() };
    print_as_is(text.as_bytes());
}

/// Prints what is wrong with a command line to stderr, in colour where nothing of it has to be escaped.
pub(super) fn complain_of_usage(usage: &clap::Error) {
    let text = usage.render().to_string();
    if text == printable::lines(&text) {
        // That nobody can be told changes nothing.
        drop(usage.print());
    } else {
        complain(Look::Plain, &text);
    }
}

/// Prints text for people to stderr, with a line break behind it. That nobody can be told there changes nothing.
pub(super) fn complain(look: Look, text: &str) {
    let text = printable::lines(text.trim_end_matches('\n'));
    let stderr = io::stderr();
    let width = stderr.is_terminal().then(|| terminal_size::terminal_size_of(&stderr)).flatten();
    let has_colours = AutoStream::choice(&stderr) != ColorChoice::Never;
    let dressed = paint::dressed(&text, look, width.map(|(width, _)| usize::from(width.0)), has_colours);
    drop(write(&mut stderr.lock(), format!("{dressed}\n").as_bytes()));
}

/// Standard output for those who write line by line. A write that fails is remembered for [`finish`].
#[derive(Debug, Default)]
pub(super) struct Stdout;

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        noted(io::stdout().lock().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        noted(io::stdout().lock().flush())
    }
}

/// Standard error for those who write line by line: that nobody can be told there stops nothing.
#[derive(Debug, Default)]
pub(super) struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(io::stderr().lock().write(bytes).unwrap_or(bytes.len()))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns the code that the process ends with: `trouble` in place of one that says that all was said, where stdout could
/// not be written. A reader that has seen enough and closed its end, as `head` does, changes no code.
pub(super) fn finish(code: ExitCode, trouble: ExitCode) -> ExitCode {
    note(io::stdout().lock().flush());
    let fault = FAULT.lock().unwrap_or_else(PoisonError::into_inner).take();
    match fault {
        Some(fault) if fault.kind() != io::ErrorKind::BrokenPipe => {
            complain(Look::Plain, &format!("portcullis: stdout: {fault}"));
            let says_all_was_said = code == ExitCode::SUCCESS || code == ExitCode::FAILURE;
            if says_all_was_said { trouble } else { code }
        }
        _ => code,
    }
}

fn print(text: &str) {
    note(write(&mut io::stdout().lock(), format!("{text}\n").as_bytes()));
}

fn write(to: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    to.write_all(bytes)?;
    to.flush()
}

fn note(outcome: io::Result<()>) {
    drop(noted(outcome));
}

fn noted<T>(outcome: io::Result<T>) -> io::Result<T> {
    outcome.inspect_err(|fault| {
        if fault.kind() == io::ErrorKind::Interrupted {
            return;
        }
        let copy = fault.raw_os_error().map_or_else(|| io::Error::from(fault.kind()), io::Error::from_raw_os_error);
        FAULT.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(copy);
    })
}
