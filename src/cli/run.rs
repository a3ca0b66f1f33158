//! `portcullis run`.

use super::{fail, load, on_runtime, variable};
use crate::{life, telemetry::log};
use std::{path::PathBuf, process::ExitCode};

/// What to run.
#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    /// The configuration.
    #[arg(default_value = "gateway.yaml", env = "PORTCULLIS_CONFIG")]
    config: PathBuf,
}

/// Runs the gateway until it is told to stop. Exit codes: 0 after SIGTERM, 1 where it could not start, 2 where
/// the configuration has problems.
pub(super) fn run(args: &RunArgs) -> ExitCode {
    let loaded = match load(&args.config) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    log::start(loaded.config.observe.log.level);
    on_runtime(loaded.config.node.threads, async move {
        match life::start(loaded, &variable) {
            Ok(running) => {
                running.announce();
                life::run_until_signal(running).await.unwrap_or_else(|error| fail(&format!("no signals: {error}")))
            }
            Err(problem) => fail(&format!("portcullis: {problem}")),
        }
    })
}
