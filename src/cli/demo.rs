//! `portcullis demo`.

use std::process::ExitCode;

/// How to show it.
#[derive(Debug, clap::Args)]
pub(super) struct DemoArgs {
    /// Ends after the story.
    #[arg(long)]
    once: bool,
}

pub(super) fn demo(_: DemoArgs) -> ExitCode {
    ExitCode::FAILURE
}
