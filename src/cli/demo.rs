//! `portcullis demo`.

use super::{EXIT_USAGE, LOG_WAIT, fail, on_runtime, say};
use crate::{
    client::Endpoint,
    config,
    demo::{self, GATEWAY_YAML, Gateway, Narrator, Ports, Stage},
    life::{self, Running},
    telemetry::log,
};
use std::{error::Error, io, path::Path, process::ExitCode, time::Duration};
use tokio::signal::unix::{SignalKind, signal};

/// How to show it.
#[derive(Debug, clap::Args)]
pub(super) struct DemoArgs {
    /// Ends after the story.
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    ports: Ports,
}

/// Starts a gateway on the embedded configuration in front of the stand-in backend, and tells the story. Exit
/// codes: 0 where every step held, 1 where one did not or the gateway could not start.
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
    let mut stage = Stage::set(args.ports).await?;
    let env = |name: &str| stage.variable(name);
    let loaded = match config::parse(GATEWAY_YAML, "the demo's gateway.yaml", Path::new("."), &env) {
        Ok(loaded) => loaded,
        Err(report) => {
            say(io::stderr(), &report.to_string());
            return Ok(ExitCode::from(EXIT_USAGE));
        }
    };
    log::start(loaded.config.observe.log.level)?;
    let running = life::start(loaded, &env).await?;
    running.announce();
    let gateway = addresses(&running)?;
    let stop = (!args.once).then(stopped).transpose()?;
    let told = demo::perform(&mut stage, &gateway, &mut Narrator::to_stdout(), stop).await;
    running.drain().await;
    running.close(Duration::from_millis(500));
    Ok(if told.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn addresses(running: &Running) -> Result<Gateway, Box<dyn Error>> {
    let endpoint = |listener: &str| -> Result<Endpoint, Box<dyn Error>> {
        let address = running.address(listener).ok_or_else(|| format!("no listener `{listener}`"))?;
        Ok(format!("http://{address}").parse()?)
    };
    Ok(Gateway { public: endpoint("public")?, edge: endpoint("edge")?, admin: endpoint("admin")? })
}

fn stopped() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
