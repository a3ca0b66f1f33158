//! `portcullis upgrade`.

use super::{
    EXIT_USAGE,
    check::Format,
    fail,
    output::{complain, show},
    paint::Look,
    reload::GatewayArgs,
    same_file,
};
use crate::client::{Client, HttpVersion, Trust};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use serde::Deserialize;
use std::{process::ExitCode, time::Duration};

/// Longer than any `upgrade.deadline` that somebody would wait for.
const DEADLINE: Duration = Duration::from_secs(600);

/// Which gateway is to be replaced.
#[derive(Debug, clap::Args)]
pub(super) struct UpgradeArgs {
    #[command(flatten)]
    gateway: GatewayArgs,
    /// How problems of the configuration are printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
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
    let admin = match args.gateway.endpoint("upgrade", "SIGUSR2", args.format) {
        Ok(admin) => admin,
        Err(code) => return code,
    };
    let client = Client::new(DEADLINE, &Trust::nobody());
    if let Some(file) = args.gateway.file()
        && let Err(why) = same_file::refuse_another(&client, &admin, file).await
    {
        complain(Look::Problems, &format!("portcullis upgrade: {why}"));
        return ExitCode::from(EXIT_USAGE);
    }
    let asked = client.exchange(&admin, HttpVersion::Http1, Method::POST, "/upgrade", HeaderMap::new(), Bytes::new());
    let reply = match asked.await {
        Ok(reply) => reply,
        Err(fault) => return fail(&format!("portcullis upgrade: {admin}: {fault}{}", args.gateway.hint())),
    };
    match serde_json::from_slice::<Told>(&reply.body) {
        Ok(told) if reply.status == StatusCode::OK => {
            show(Look::Plain, &format!("upgraded: process {} serves", told.pid));
            ExitCode::SUCCESS
        }
        Ok(told) if reply.status == StatusCode::UNPROCESSABLE_ENTITY => {
            complain(Look::Problems, &format!("{}\nNot upgraded: the old process serves on.", told.why));
            ExitCode::from(EXIT_USAGE)
        }
        _ => fail(&format!("portcullis upgrade: {admin} answered {}", reply.status)),
    }
}
