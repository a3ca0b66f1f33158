//! The command line.

pub mod call;
mod caller;
pub mod check;
mod demo;
pub mod diff;
pub mod events;
pub mod explain;
mod init;
mod output;
mod pages;
mod paint;
mod reload;
mod rollback;
mod routes;
mod run;
mod same_file;
pub mod schema;
mod source;
pub mod test;
mod upgrade;

use anstream::ColorChoice;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use output::complain;
use paint::Look;
use source::CONFIG_VARIABLE;
use std::{ffi::OsString, future::Future, process::ExitCode, time::Duration};

/// The version, and the revision that the program was built from.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("PORTCULLIS_REVISION"), ")");

/// An edge gateway: signed commands over Connect, gRPC and gRPC-Web, in front of a plain REST backend.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version = VERSION, arg_required_else_help = true)]
struct Args {
    /// Whether what is printed for people is in colour; `auto` is in a terminal, as NO_COLOR and CLICOLOR say
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: clap::ColorChoice,
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
    /// Writes a small configuration to start from.
    Init(init::InitArgs),
    /// Prints the reference of the configuration: every key once, with a sentence.
    Reference,
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
    /// Prints the completions for a shell.
    Completions(pages::CompletionsArgs),
    /// Prints the manual page.
    Man(pages::ManArgs),
}

/// How long the process stays for whoever reads its log.
const LOG_WAIT: Duration = Duration::from_millis(500);

/// Exit code for a command line or a configuration with problems, of every subcommand.
pub const EXIT_USAGE: u8 = 2;

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    let args = match parse(std::env::args_os()) {
        Ok(args) => args,
        Err(usage) => return explain_usage(&usage),
    };
    match args.color {
        clap::ColorChoice::Auto => ColorChoice::Auto,
        clap::ColorChoice::Always => ColorChoice::Always,
        clap::ColorChoice::Never => ColorChoice::Never,
    }
    .write_global();
    // 1 says of `diff` that something differs.
    let trouble = ExitCode::from(if matches!(args.command, Command::Diff(_)) { EXIT_USAGE } else { 1 });
    output::finish(run(args.command), trouble)
}

/// Reads a command line. A variable that is set to nothing names no configuration, as in a shell's `${VAR:-default}`.
fn parse(line: impl Iterator<Item = OsString>) -> Result<Args, clap::Error> {
    let is_empty = std::env::var_os(CONFIG_VARIABLE).is_some_and(|value| value.is_empty());
    let mut command = Args::command();
    if is_empty {
        let without = |arg: clap::Arg| {
            let is_it = arg.get_env().is_some_and(|variable| variable == CONFIG_VARIABLE);
            if is_it { arg.env(None) } else { arg }
        };
        command = command.mut_subcommands(|command| command.mut_args(without));
    }
    Args::from_arg_matches(&command.try_get_matches_from(line)?)
}

/// Prints the help that was asked for to stdout, or what is wrong with the command line to stderr.
fn explain_usage(usage: &clap::Error) -> ExitCode {
    let code = u8::try_from(usage.exit_code()).unwrap_or(EXIT_USAGE);
    if usage.use_stderr() {
        output::complain_of_usage(usage);
        return ExitCode::from(code);
    }
    output::print_help(&usage.render());
    output::finish(ExitCode::from(code), ExitCode::FAILURE)
}

fn run(command: Command) -> ExitCode {
    match command {
        Command::Run(args) => run::run(&args),
        Command::Reload(args) => on_runtime(1, reload::reload(args)),
        Command::Rollback(args) => on_runtime(1, rollback::rollback(args)),
        Command::Upgrade(args) => on_runtime(1, upgrade::upgrade(args)),
        Command::Diff(args) => diff::diff(&args),
        Command::Check(args) => check::check(&args),
        Command::Explain(args) => on_runtime(1, explain::run(*args)),
        Command::Test(args) => on_runtime(1, test::run(args)),
        Command::Init(args) => init::init(&args),
        Command::Reference => init::reference(),
        Command::Schema => schema::schema(),
        Command::Routes(args) => routes::routes(&args),
        Command::Demo(args) => demo::demo(args),
        Command::Call(args) => on_runtime(1, call::run(*args)),
        Command::Events(command) => on_runtime(1, events::run(command)),
        Command::Completions(args) => pages::completions(&args),
        Command::Man(args) => pages::man(&args),
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

/// A variable of the process's environment.
fn variable(name: &str) -> Option<String> {
    crate::config::of_the_process(name)
}

/// Says on stderr why the command failed.
fn fail(what: &str) -> ExitCode {
    complain(Look::Plain, what);
    ExitCode::FAILURE
}
