//! `portcullis run`.

use super::{
    EXIT_USAGE, LOG_WAIT, fail, on_runtime,
    output::complain,
    paint::Look,
    source::{CONFIG_VARIABLE, must_be_a_file},
    variable,
};
use crate::{
    config::{self, Loaded},
    life::{self, ConfigFile, Inherited, Invocation, Left, Signals},
    telemetry::log,
};
use std::{
    error::Error,
    io::{self, IsTerminal as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// What to run.
#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    /// The configuration: a regular file, as it is read again at each reload
    #[arg(value_name = "FILE", default_value = "gateway.yaml", env = CONFIG_VARIABLE)]
    config: PathBuf,
}

/// Runs the gateway until it is told to stop or another process has taken its place. Exit codes: 0 then, 1 where it
/// could not start or was told twice, 2 where the configuration has problems.
pub(super) fn run(args: &RunArgs) -> ExitCode {
    let (invocation, inherited) = match Invocation::of_this_process().and_then(|this| Ok((this, Inherited::find()?))) {
        Ok(both) => both,
        Err(error) => return fail(&format!("portcullis: {error}")),
    };
    if let Err(code) = must_be_a_file("run", &args.config) {
        return code;
    }
    let loaded = match config::load(&args.config, &variable) {
        Ok(loaded) => loaded,
        Err(report) => {
            let report = report.to_string();
            complain(Look::Problems, &report);
            // The process whose place this was to take says why, too.
            if let Some(inherited) = inherited {
                inherited.fail(&report);
            }
            return ExitCode::from(EXIT_USAGE);
        }
    };
    if let Err(error) = log::start(loaded.config.observe.log.level, &loaded.config.node.id, &[]) {
        return fail(&format!("portcullis: no log: {error}"));
    }
    loaded.log_warnings();
    let file = ConfigFile { path: args.config.clone(), env: &variable, invocation: Some(invocation) };
    let code = on_runtime(loaded.config.node.threads, async move {
        match serve(loaded, &file, inherited).await {
            Ok(Left::Drained) => ExitCode::SUCCESS,
            Ok(Left::AtOnce) => fail("portcullis: what was left was cut, as the process was told to stop twice"),
            Err(problem) => fail(&format!("portcullis: {problem}")),
        }
    });
    log::close(LOG_WAIT);
    code
}

/// Says in a terminal what the line on stdout says to programs.
fn announce_to_people(addresses: &[(String, SocketAddr)], file: &Path) {
    if !(io::stdout().is_terminal() && io::stderr().is_terminal()) {
        return;
    }
    let width = addresses.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    let lines: String = addresses.iter().map(|(name, address)| format!("\n    {name:<width$}  {address}")).collect();
    complain(Look::Plain, &format!("{} is served, until Ctrl-C:{lines}", file.display()));
}

async fn serve(loaded: Loaded, file: &ConfigFile<'_>, inherited: Option<Inherited>) -> Result<Left, Box<dyn Error>> {
    // Ahead of the announcement: whoever has read it may send a signal at once.
    let mut signals = Signals::listen()?;
    let mut predecessor = match inherited {
        Some(inherited) => Some(inherited.open().await?),
        None => None,
    };
    let running = match life::start_after(loaded, file.env, &mut predecessor).await {
        Ok(running) => running,
        Err(problem) => {
            if let Some(predecessor) = &predecessor {
                predecessor.fail(&problem.to_string()).await;
            }
            return Err(problem.into());
        }
    };
    running.announce();
    announce_to_people(&running.addresses, &file.path);
    Ok(life::run_until_told(&running, &mut signals, Some(file)).await)
}
