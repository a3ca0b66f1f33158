//! `portcullis reload`.

use super::{EXIT_USAGE, fail, load, say};
use crate::{
    client::{Client, Endpoint, HttpVersion, Trust},
    config::Loaded,
};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use serde::Deserialize;
use std::{io, path::PathBuf, process::ExitCode, time::Duration};

/// A gateway first tries the stores that are new, each for as long as its time-outs say.
const DEADLINE: Duration = Duration::from_secs(60);

/// Which gateway is to read its configuration again.
#[derive(Debug, clap::Args)]
pub(super) struct ReloadArgs {
    /// The configuration that it runs: it says where the admin listener is.
    #[arg(default_value = "gateway.yaml", env = "PORTCULLIS_CONFIG")]
    pub(super) config: PathBuf,
    /// The admin listener, such as http://127.0.0.1:9901; the configuration is not looked at then.
    #[arg(long)]
    pub(super) admin: Option<Endpoint>,
}

/// What the gateway says of it.
#[derive(Deserialize)]
struct Told {
    outcome: String,
    revision: String,
    #[serde(default)]
    why: String,
}

/// Has a running gateway take up its configuration as it is now. Exit codes: 0 where it is in force, 1 where no
/// gateway answered, 2 where it was not taken up, and everything is as it was.
pub(super) async fn reload(args: ReloadArgs) -> ExitCode {
    let admin = match args.admin {
        Some(admin) => admin,
        None => match load(&args.config).map(|loaded| admin_of(&loaded)) {
            Ok(Some(admin)) => admin,
            Ok(None) => return fail("portcullis reload: no listener has `admin: true`: name one, or send SIGHUP"),
            Err(code) => return code,
        },
    };
    let client = Client::new(DEADLINE, &Trust::nobody());
    let asked = client.exchange(&admin, HttpVersion::Http1, Method::POST, "/reload", HeaderMap::new(), Bytes::new());
    let reply = match asked.await {
        Ok(reply) => reply,
        Err(fault) => return fail(&format!("portcullis reload: {admin}: {fault}")),
    };
    match serde_json::from_slice::<Told>(&reply.body) {
        Ok(told) if reply.status == StatusCode::OK => {
            say(io::stdout(), &format!("{} {}", told.outcome, told.revision));
            ExitCode::SUCCESS
        }
        Ok(told) => {
            say(io::stderr(), &format!("{}\nNot taken up: {} is in force as before.", told.why, told.revision));
            ExitCode::from(EXIT_USAGE)
        }
        Err(_) => fail(&format!("portcullis reload: {admin} answered {}, and is no admin listener", reply.status)),
    }
}

pub(super) fn admin_of(loaded: &Loaded) -> Option<Endpoint> {
    let listener = loaded.config.listeners.values().find(|listener| listener.admin)?;
    format!("http://{}", listener.bind).parse().ok()
}
