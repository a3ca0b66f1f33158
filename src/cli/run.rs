//! `portcullis run`.

use super::{LOG_WAIT, fail, load, on_runtime, variable};
use crate::{
    config::Loaded,
    life::{self, ConfigFile, Signals},
    telemetry::log,
};
use std::{error::Error, path::PathBuf, process::ExitCode};

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
    if let Err(error) = log::start(loaded.config.observe.log.level) {
        return fail(&format!("portcullis: no log: {error}"));
    }
    let path = args.config.clone();
    let code = on_runtime(loaded.config.node.threads, async move {
        match serve(loaded, &ConfigFile { path, env: &variable }).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(problem) => fail(&format!("portcullis: {problem}")),
        }
    });
    log::close(LOG_WAIT);
    code
}

async fn serve(loaded: Loaded, file: &ConfigFile<'_>) -> Result<(), Box<dyn Error>> {
    // Ahead of the announcement: whoever has read it may send a signal at once.
    let mut signals = Signals::listen()?;
    let running = life::start(loaded, file.env).await?;
    running.announce();
    life::run_until_told(&running, &mut signals, Some(file)).await;
    Ok(())
}
