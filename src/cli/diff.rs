//! `portcullis diff OLD NEW`: what differs between two configurations.

use super::{EXIT_USAGE, check::Format};
use crate::{
    config::{self, Env, Loaded, Report},
    plan::changes::{Changes, Side},
};
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

/// The exit code where they differ, as that of diff(1).
const EXIT_DIFFERENT: u8 = 1;

/// What `portcullis diff` takes.
#[derive(Debug, clap::Args)]
pub struct DiffArgs {
    /// The one configuration.
    pub old: PathBuf,
    /// The other.
    pub new: PathBuf,
    /// How the differences are printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Do not look at secrets and certificates: for machines that do not have them, such as a CI runner.
    #[arg(long)]
    pub without_secrets: bool,
}

/// Prints to stdout what differs, and what it means to a gateway that runs the first. 0: nothing; 1: something; 2: one
/// of them cannot be used.
pub(super) fn diff(args: &DiffArgs) -> ExitCode {
    match run(args, &super::variable, &mut io::stdout().lock()) {
        Ok(code) => ExitCode::from(code),
        // Nobody reads any more.
        Err(_) => ExitCode::from(EXIT_USAGE),
    }
}

/// Compares with this environment, and says what was found to `out`.
///
/// # Errors
/// Where `out` takes nothing more.
pub fn run(args: &DiffArgs, env: &Env<'_>, out: &mut dyn Write) -> io::Result<u8> {
    let load = |path: &Path| if args.without_secrets { config::load_without_secrets } else { config::load }(path, env);
    let (old, new) = match (load(&args.old), load(&args.new)) {
        (Ok(old), Ok(new)) => (old, new),
        (old, new) => return problems(args.format, [old.err(), new.err()], out),
    };
    let changes = between(&old, &new);
    match args.format {
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(&changes)?)?,
        Format::Text => writeln!(out, "{changes}{}", changes.summary())?,
    }
    Ok(if changes.0.is_empty() { 0 } else { EXIT_DIFFERENT })
}

fn between(old: &Loaded, new: &Loaded) -> Changes {
    Changes::between(&Side::now(old), &Side::now(new))
}

fn problems(format: Format, reports: [Option<Report>; 2], out: &mut dyn Write) -> io::Result<u8> {
    for report in reports.into_iter().flatten() {
        match format {
            Format::Json => writeln!(out, "{}", report.json())?,
            Format::Text => writeln!(out, "{report}")?,
        }
    }
    Ok(EXIT_USAGE)
}
