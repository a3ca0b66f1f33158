//! `portcullis demo`.

use super::{
    EXIT_USAGE, LOG_WAIT, fail, on_runtime,
    output::{self, complain},
    paint::Look,
};
use crate::{
    client::Endpoint,
    config,
    demo::{self, Gateway, Narrator, News, Ports, Stage},
    life::{self, ConfigFile, Departure, Left, Running, Signals},
    telemetry::log,
};
use std::{error::Error, process::ExitCode};

/// How to show it.
#[derive(Debug, clap::Args)]
pub(super) struct DemoArgs {
    /// Ends after the story.
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    ports: Ports,
}

/// Starts a gateway in front of the stand-in backend, and tells the story; stays up then, where it is not to be told
/// `once`, and takes up what becomes of the gateway's file. Exit codes: 0 where every step held, 1 where one did not, the
/// gateway could not start, or it was stopped ahead of the end that it was to come to.
pub(super) fn demo(args: DemoArgs) -> ExitCode {
    let code = on_runtime(0, async move {
        match perform(args).await {
            Ok(code) => code,
            Err(error) => fail(&format!("portcullis demo: {error}")),
        }
    });
    log::close(LOG_WAIT);
    code
}

async fn perform(args: DemoArgs) -> Result<ExitCode, Box<dyn Error>> {
    // Ahead of all that has to be tidied up, and of the announcement: whoever has read it may send a signal at once.
    let mut signals = Signals::listen()?;
    let (stage, mut mailbox) = Stage::set(args.ports).await?;
    let env = |name: &str| stage.variable(name);
    // Another process would not have the backend.
    let file = ConfigFile { path: stage.config_file(), env: &env, invocation: None };
    let loaded = match config::load(&file.path, file.env) {
        Ok(loaded) => loaded,
        Err(report) => {
            complain(Look::Problems, &report.to_string());
            return Ok(ExitCode::from(EXIT_USAGE));
        }
    };
    log::start(loaded.config.observe.log.level, &loaded.config.node.id, &[life::FOLLOWER])?;
    let running = life::start(loaded, file.env).await?;
    running.announce();
    let gateway = addresses(&running)?;
    let news = (!args.once).then(|| News::of(&running));
    let mut narrator = Narrator::new(output::Stdout, output::has_colours());
    let has_held = tokio::select! {
        told = demo::perform(&stage, &mut mailbox, &gateway, &mut narrator, news) => told.is_ok(),
        _ = life::until_told(&running, &mut signals, Some(&file)) => !args.once,
    };
    let left = life::leave(&running, &mut signals, Departure::Stop).await;
    Ok(if has_held && left == Left::Drained { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn addresses(running: &Running) -> Result<Gateway, Box<dyn Error>> {
    let endpoint = |listener: &str| -> Result<Endpoint, Box<dyn Error>> {
        let address = running.address(listener).ok_or_else(|| format!("no listener `{listener}`"))?;
        Ok(format!("http://{address}").parse()?)
    };
    Ok(Gateway { public: endpoint("public")?, edge: endpoint("edge")?, admin: endpoint("admin")? })
}
