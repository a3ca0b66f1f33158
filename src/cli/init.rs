//! `portcullis init` and `portcullis reference`: a configuration to start from, and every key there is.

use super::{
    fail,
    output::{print_as_is, show},
    paint::Look,
    source::{CONFIG_VARIABLE, is_stdin},
};
use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

/// What a new file holds.
const START: &str = include_str!("init/gateway.yaml");
/// The reference: each key once, with a sentence.
const REFERENCE: &str = include_str!("../../gateway.yaml");

/// What to write.
#[derive(Debug, clap::Args)]
pub(super) struct InitArgs {
    /// The file; - is standard output
    #[arg(value_name = "FILE", default_value = "gateway.yaml", env = CONFIG_VARIABLE)]
    file: PathBuf,
}

/// Writes a configuration to start from. A file that is there is left as it is, which is exit code 1.
pub(super) fn init(args: &InitArgs) -> ExitCode {
    if is_stdin(&args.file) {
        print_as_is(START.as_bytes());
        return ExitCode::SUCCESS;
    }
    let file = args.file.display();
    match write_new(&args.file) {
        Ok(()) => {
            show(
                Look::Plain,
                &format!(
                    "{file} is written. Let `endpoints` name your backend, then:\n    portcullis check {file}\n    \
                     portcullis run {file}"
                ),
            );
            ExitCode::SUCCESS
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fail(&format!("portcullis init: {file} is there already, and is left as it is: name another file"))
        }
        Err(error) => fail(&format!("portcullis init: {file}: {error}")),
    }
}

fn write_new(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(START.as_bytes())?;
    file.sync_all()
}

/// Prints the reference.
pub(super) fn reference() -> ExitCode {
    print_as_is(REFERENCE.as_bytes());
    ExitCode::SUCCESS
}
