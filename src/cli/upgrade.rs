//! `portcullis upgrade`.

use super::{
    EXIT_USAGE, fail, load,
    reload::{admin_of, hint},
    say,
};
use crate::client::{Client, Endpoint, HttpVersion, Trust};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use serde::Deserialize;
use std::{io, path::PathBuf, process::ExitCode, time::Duration};

/// Longer than any `upgrade.deadline` that somebody would wait for.
const DEADLINE: Duration = Duration::from_secs(600);

/// Which gateway is to be replaced.
#[derive(Debug, clap::Args)]
pub(super) struct UpgradeArgs {
    /// The configuration that it runs: it says where the admin listener is.
    #[arg(default_value = "gateway.yaml", env = "PORTCULLIS_CONFIG")]
    config: PathBuf,
    /// The admin listener, such as http://127.0.0.1:9901; the configuration is not looked at then.
    #[arg(long)]
    admin: Option<Endpoint>,
}

/// What the gateway says of it.
#[derive(Deserialize)]
struct Told {
    #[serde(default)]
    pid: u32,
    #[serde(default)]
    why: String,
}

/// Has another process take the place of a running gateway. Exit codes: 0 where it serves, 1 where no gateway answered,
/// 2 where the old one serves on.
pub(super) async fn upgrade(args: UpgradeArgs) -> ExitCode {
    let admin = match &args.admin {
        Some(admin) => admin.clone(),
        None => match load(&args.config).map(|loaded| admin_of(&loaded)) {
            Ok(Some(admin)) => admin,
            Ok(None) => return fail("portcullis upgrade: no listener has `admin: true`: name one, or send SIGUSR2"),
            Err(code) => return code,
        },
    };
    let client = Client::new(DEADLINE, &Trust::nobody());
    let asked = client.exchange(&admin, HttpVersion::Http1, Method::POST, "/upgrade", HeaderMap::new(), Bytes::new());
    let reply = match asked.await {
        Ok(reply) => reply,
        Err(fault) => return fail(&format!("portcullis upgrade: {admin}: {fault}{}", hint(args.admin.as_ref()))),
    };
    match serde_json::from_slice::<Told>(&reply.body) {
        Ok(told) if reply.status == StatusCode::OK => {
            say(io::stdout(), &format!("upgraded: process {} serves", told.pid));
            ExitCode::SUCCESS
        }
        Ok(told) if reply.status == StatusCode::UNPROCESSABLE_ENTITY => {
            say(io::stderr(), &format!("{}\nNot upgraded: the old process serves on.", told.why));
            ExitCode::from(EXIT_USAGE)
        }
        _ => fail(&format!("portcullis upgrade: {admin} answered {}", reply.status)),
    }
}
