//! `portcullis events`.

mod remedy;
mod tail;

pub use tail::TailArgs;

use std::process::ExitCode;

/// What can be done with events.
#[derive(Debug, clap::Subcommand)]
pub enum EventsCommand {
    /// Subscribes to a device's events and prints each as it comes, verified
    Tail(Box<TailArgs>),
}

/// Runs the subcommand.
pub async fn run(command: EventsCommand) -> ExitCode {
    match command {
        EventsCommand::Tail(args) => tail::run(*args).await,
    }
}
