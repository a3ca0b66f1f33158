//! `portcullis check FILE`: everything that is wrong with a configuration.

use super::{
    EXIT_USAGE,
    output::{show, show_json},
    paint::Look,
    source::{CONFIG_VARIABLE, Secrets, load_quietly},
    variable,
};
use crate::config::{Env, Loaded, Report};
use clap::{Args, ValueEnum};
use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

/// What `portcullis check` takes.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The configuration; - is standard input.
    #[arg(default_value = "gateway.yaml", env = CONFIG_VARIABLE)]
    pub file: PathBuf,
    /// How problems are printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Do not look at secrets and certificates: for machines that do not have them, such as a CI runner.
    #[arg(long)]
    pub without_secrets: bool,
    /// Do not look up the names of backends, feeds and stores. Else each that does not resolve is warned of.
    #[arg(long)]
    pub offline: bool,
}

/// How long names are looked up.
const LOOKUP_MAX: Duration = Duration::from_secs(2);

/// How problems are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people: the line, a caret, the remedy.
    Text,
    /// For programs: an array with one object for each problem.
    Json,
}

/// Checks a file and prints what was found to stdout. 0: it can be used; 2: it cannot; 1: nothing could be
/// printed.
#[must_use]
pub fn check(args: &CheckArgs) -> ExitCode {
    let mut said = Vec::new();
    let code = run(args, &variable, &mut said).map_or(ExitCode::FAILURE, ExitCode::from);
    let said = String::from_utf8_lossy(&said);
    match args.format {
        Format::Json => show_json(&said),
        Format::Text => show(Look::Problems, &said),
    }
    code
}

/// Checks a file with this environment, and says what was found to `out`.
///
/// # Errors
/// Where `out` takes nothing more.
pub fn run(args: &CheckArgs, env: &Env<'_>, out: &mut dyn Write) -> io::Result<u8> {
    let secrets = if args.without_secrets { Secrets::Skipped } else { Secrets::Read };
    let loaded = load_quietly(&args.file, secrets, env);
    let loaded = if args.offline { loaded } else { loaded.map(|loaded| loaded.with_names_looked_up(LOOKUP_MAX)) };
    let report = loaded.as_ref().map_or_else(|report| report, |loaded| &loaded.warnings);
    match args.format {
        Format::Json => writeln!(out, "{}", report.json())?,
        Format::Text => text(args, loaded.as_ref(), report, out)?,
    }
    Ok(if loaded.is_ok() { 0 } else { EXIT_USAGE })
}

fn text(args: &CheckArgs, loaded: Result<&Loaded, &Report>, report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let count = report.problems().len() + report.left_out();
    if count > 0 {
        writeln!(out, "{report}")?;
    }
    let file = args.file.display();
    match (loaded, count) {
        (Ok(loaded), 0) => writeln!(out, "{file} is fine: {}", summary(loaded)),
        (Ok(loaded), _) => writeln!(out, "{file} can be used, with {}: {}", counted(count, "warning"), summary(loaded)),
        (Err(_), _) => writeln!(out, "{file} cannot be used: {}", counted(count, "problem")),
    }
}

fn summary(loaded: &Loaded) -> String {
    let config = &loaded.config;
    let parts = [
        counted(config.listeners.len(), "listener"),
        counted(config.upstreams.len(), "upstream"),
        counted(config.routes.len(), "route"),
        counted(config.commands.values().map(|commands| commands.routes.len()).sum(), "command"),
    ];
    parts.join(", ")
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
