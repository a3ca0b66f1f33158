//! `portcullis diff OLD NEW`: what differs between two configurations.

use super::{
    EXIT_USAGE,
    check::Format,
    fail,
    output::{show, show_json},
    paint::Look,
    source::{self, CONFIG_VARIABLE, Secrets},
    variable,
};
use crate::{
    config::{Loaded, Report},
    plan::changes::{Changes, Side},
};
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// The exit code where they differ, as that of diff(1).
const EXIT_DIFFERENT: u8 = 1;

/// The configuration that is compared where one is named.
const FILE: &str = "gateway.yaml";

/// What `portcullis diff` takes.
#[derive(Debug, clap::Args)]
pub(super) struct DiffArgs {
    /// The one configuration; - is standard input. Where it is left out, PORTCULLIS_CONFIG or gateway.yaml
    #[arg(value_names = ["OLD", "NEW"], num_args = 1..=2, required = true)]
    files: Vec<PathBuf>,
    /// How the differences are printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Do not look at secrets and certificates: for machines that do not have them, such as a CI runner
    #[arg(long)]
    without_secrets: bool,
}

/// Prints to stdout what differs, and what it means to a gateway that runs the first. 0: nothing; 1: something; 2: one
/// of them cannot be used.
pub(super) fn diff(args: &DiffArgs) -> ExitCode {
    let variable_or_default = || std::env::var_os(CONFIG_VARIABLE).filter(|value| !value.is_empty());
    let (old, new) = match args.files.as_slice() {
        [old, new] => (old.clone(), new.clone()),
        [new] => (variable_or_default().unwrap_or_else(|| OsString::from(FILE)).into(), new.clone()),
        _ => return unusable("name one or two configurations"),
    };
    if source::is_stdin(&old) && source::is_stdin(&new) {
        return unusable("standard input is read once: it can be one of the two configurations");
    }
    let secrets = if args.without_secrets { Secrets::Skipped } else { Secrets::Read };
    let load = |path: &Path| source::load_quietly(path, secrets, &variable);
    match (load(&old), load(&new)) {
        (Ok(old), Ok(new)) => compare(args.format, &old, &new),
        (old, new) => problems(args.format, &[old.err(), new.err()].into_iter().flatten().collect::<Vec<_>>()),
    }
}

fn compare(format: Format, old: &Loaded, new: &Loaded) -> ExitCode {
    let changes = Changes::between(&Side::now(old), &Side::now(new));
    match format {
        Format::Json => match serde_json::to_string_pretty(&changes) {
            Ok(changes) => show_json(&changes),
            Err(fault) => return unusable(&fault.to_string()),
        },
        Format::Text => show(Look::Changes, &format!("{changes}{}", changes.summary())),
    }
    if changes.0.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_DIFFERENT) }
}

fn problems(format: Format, reports: &[Report]) -> ExitCode {
    match format {
        Format::Json => show_json(&Report::json_of(reports)),
        Format::Text => {
            let texts: Vec<String> = reports.iter().map(ToString::to_string).collect();
            show(Look::Problems, &texts.join("\n"));
        }
    }
    ExitCode::from(EXIT_USAGE)
}

/// That nothing was compared: 1 would say that something differs.
fn unusable(why: &str) -> ExitCode {
    fail(&format!("portcullis diff: {why}"));
    ExitCode::from(EXIT_USAGE)
}
