//! `portcullis completions` and `portcullis man`: what shells and man(1) are told of the command line.

use super::{
    Args, fail,
    output::{print_as_is, show},
    paint::Look,
};
use clap::CommandFactory as _;
use clap_complete::Shell;
use std::{fs, io, path::PathBuf, process::ExitCode};

/// The program's name.
const NAME: &str = "portcullis";

/// For which shell.
#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Where manual pages go.
#[derive(Debug, clap::Args)]
pub(super) struct ManArgs {
    /// Writes a page for each command into this folder, such as man1 of a MANPATH, in place of printing the main one
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

/// Prints the completions for a shell.
pub(super) fn completions(args: &CompletionsArgs) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), NAME, &mut script);
    print_as_is(&script);
    ExitCode::SUCCESS
}

/// Prints the manual page, or writes that of each command into a folder.
pub(super) fn man(args: &ManArgs) -> ExitCode {
    match &args.folder {
        None => {
            let mut page = Vec::new();
            match clap_mangen::Man::new(Args::command()).render(&mut page) {
                Ok(()) => print_as_is(&page),
                Err(error) => return fail(&format!("portcullis man: {error}")),
            }
            ExitCode::SUCCESS
        }
        Some(folder) => match write(folder) {
            Ok(()) => {
                show(Look::Plain, &format!("the pages are in {}", folder.display()));
                ExitCode::SUCCESS
            }
            Err(error) => fail(&format!("portcullis man: {}: {error}", folder.display())),
        },
    }
}

fn write(folder: &PathBuf) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    clap_mangen::generate_to(Args::command().name(NAME), folder)
}
