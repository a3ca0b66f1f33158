//! The command line.

pub mod call;
mod caller;
pub mod check;
mod demo;
pub mod diff;
pub mod events;
pub mod explain;
mod reload;
mod rollback;
mod routes;
mod run;
pub mod schema;
pub mod test;
mod upgrade;

use crate::config::{self, Loaded};
use clap::{Parser, Subcommand};
use std::{future::Future, io, path::Path, process::ExitCode, time::Duration};

/// An edge gateway: signed commands over Connect, gRPC and gRPC-Web, in front of a plain REST backend.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, arg_required_else_help = true)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the gateway.
    Run(run::RunArgs),
    /// Has a running gateway take up its configuration as it is now, or say what that would do.
    Reload(reload::ReloadArgs),
    /// Puts a configuration back that was in force before, and has the gateway take it up.
    Rollback(rollback::RollbackArgs),
    /// Has a new process take the place of a running gateway, without losing a request.
    ///
    /// The gateway starts the file that it was started from, as it is there now, with the same arguments, and hands over its
    /// listening sockets. The new process reads the configuration anew, so that listeners and threads can change. The old
    /// one finishes what it has begun, within `drain.deadline`, and ends.
    ///
    /// Where the new process cannot be started, fails or is not ready within `upgrade.deadline`, the old one serves on, and
    /// the exit code is 2. The signal SIGUSR2 asks for the same.
    Upgrade(upgrade::UpgradeArgs),
    /// Says what differs between two configurations, and what that means to a gateway that runs the first.
    Diff(diff::DiffArgs),
    /// Checks a configuration and says everything that is wrong with it.
    Check(check::CheckArgs),
    /// Says what a configuration makes of a request, without sending anything.
    Explain(Box<explain::ExplainArgs>),
    /// Runs the tests of a configuration, without sending anything.
    Test(test::TestArgs),
    /// Prints the JSON Schema of the configuration.
    Schema,
    /// Prints the routes in the order in which they are tried.
    Routes(routes::RoutesArgs),
    /// Shows the gateway at work with a stand-in backend: no configuration, nothing else to start.
    ///
    /// After its story it stays up, with lines to paste. The file that the gateway runs on can be changed by hand then, and
    /// what comes of each change is told.
    Demo(demo::DemoArgs),
    /// Sends a signed command and verifies the answer.
    Call(Box<call::CallArgs>),
    /// Works with the events that a device is pushed.
    #[command(subcommand)]
    Events(events::EventsCommand),
}

/// How long the process stays for whoever reads its log.
const LOG_WAIT: Duration = Duration::from_millis(500);

/// Exit code for a command line or a configuration with problems, of every subcommand.
pub const EXIT_USAGE: u8 = 2;

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    match Args::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Reload(args) => on_runtime(1, reload::reload(args)),
        Command::Rollback(args) => on_runtime(1, rollback::rollback(args)),
        Command::Upgrade(args) => on_runtime(1, upgrade::upgrade(args)),
        Command::Diff(args) => diff::diff(&args),
        Command::Check(args) => check::check(&args),
        Command::Explain(args) => on_runtime(1, explain::run(*args)),
        Command::Test(args) => on_runtime(1, test::run(args)),
        Command::Schema => schema::schema(),
        Command::Routes(args) => routes::routes(&args),
        Command::Demo(args) => demo::demo(args),
        Command::Call(args) => on_runtime(1, call::run(*args)),
        Command::Events(command) => on_runtime(1, events::run(command)),
    }
}

/// Runs a command on a runtime of its own; 0 threads are one for each core.
fn on_runtime(threads: usize, command: impl Future<Output = ExitCode>) -> ExitCode {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if threads > 0 {
        builder.worker_threads(threads);
    }
    match builder.enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(command);
            // What is left are connections whose time is over.
            runtime.shutdown_background();
            code
        }
        Err(error) => fail(&format!("no runtime: {error}")),
    }
}

/// Loads a configuration, or says what is wrong with it.
fn load(path: &Path) -> Result<Loaded, ExitCode> {
    config::load(path, &variable).map_err(|report| {
        say(io::stderr(), &report.to_string());
        ExitCode::from(EXIT_USAGE)
    })
}

/// A variable of the process's environment.
fn variable(name: &str) -> Option<String> {
    config::of_the_process(name)
}

/// Says on stderr why the command failed.
fn fail(what: &str) -> ExitCode {
    say(io::stderr(), what);
    ExitCode::FAILURE
}

/// Writes a line. A reader that has gone away is no reason to fail.
fn say(mut to: impl io::Write, line: &str) {
    drop(writeln!(to, "{line}"));
}
