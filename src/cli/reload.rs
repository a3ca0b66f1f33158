//! `portcullis reload`.

use super::{EXIT_USAGE, check::Format, fail, load, say};
use crate::{
    client::{Client, Endpoint, HttpVersion, Reply, Trust},
    config::Loaded,
    vitals::Foreseen,
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
    /// Only say what would be done: what differs, what hangs on it, and what becomes of that.
    #[arg(long)]
    pub(super) plan: bool,
    /// Do it even where it ends more streams than `reload.max_streams_cut`.
    #[arg(long, conflicts_with = "plan")]
    pub(super) force: bool,
    /// How what is said is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
}

/// What the gateway says of it.
#[derive(Deserialize)]
struct Told {
    outcome: String,
    revision: String,
    #[serde(default)]
    why: String,
    #[serde(default)]
    foreseen: Option<Foreseen>,
}

/// Has a running gateway take up its configuration as it is now, or say what that would do. Exit codes: 0 where it is in
/// force, or would be; 1 where no gateway answered; 2 where it was not taken up, or would not be: everything is as it was.
pub(super) async fn reload(args: ReloadArgs) -> ExitCode {
    let admin = match &args.admin {
        Some(admin) => admin.clone(),
        None => match load(&args.config).map(|loaded| admin_of(&loaded)) {
            Ok(Some(admin)) => admin,
            Ok(None) => return fail("portcullis reload: no listener has `admin: true`: name one, or send SIGHUP"),
            Err(code) => return code,
        },
    };
    let client = Client::new(DEADLINE, &Trust::nobody());
    let (method, path) = match (args.plan, args.force) {
        (true, _) => (Method::GET, "/reload"),
        (false, true) => (Method::POST, "/reload?force"),
        (false, false) => (Method::POST, "/reload"),
    };
    let asked = client.exchange(&admin, HttpVersion::Http1, method, path, HeaderMap::new(), Bytes::new());
    let reply = match asked.await {
        Ok(reply) => reply,
        Err(fault) => return fail(&format!("portcullis reload: {admin}: {fault}{}", hint(args.admin.as_ref()))),
    };
    let told = if args.plan { foreseen(&args, &reply) } else { None };
    told.or_else(|| outcome(&args, &reply)).unwrap_or_else(|| {
        fail(&format!("portcullis reload: {admin} answered {}: is it the admin listener?", reply.status))
    })
}

/// Says what would come of it, where the gateway has said so.
fn foreseen(args: &ReloadArgs, reply: &Reply) -> Option<ExitCode> {
    let foreseen: Foreseen = serde_json::from_slice(&reply.body).ok()?;
    match args.format {
        Format::Json => say(io::stdout(), &serde_json::to_string_pretty(&foreseen).ok()?),
        Format::Text => say(io::stdout(), &foreseen.to_string()),
    }
    Some(if foreseen.is_refused() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS })
}

/// Says what came of it, where the gateway has said so.
fn outcome(args: &ReloadArgs, reply: &Reply) -> Option<ExitCode> {
    let told: Told = serde_json::from_slice(&reply.body).ok()?;
    let is_in_force = reply.status == StatusCode::OK;
    match (args.format, is_in_force) {
        (Format::Json, _) => say(io::stdout(), &String::from_utf8_lossy(&reply.body)),
        (Format::Text, true) => say(io::stdout(), &format!("{} {}", told.outcome, told.revision)),
        (Format::Text, false) => {
            let list = told.foreseen.map(|foreseen| format!("{}{}\n", foreseen.changes, foreseen.changes.summary()));
            let said = format!("{}{}", list.unwrap_or_default(), told.why);
            say(io::stderr(), &format!("{said}\nNot taken up: {} is in force as before.", told.revision));
        }
    }
    Some(if is_in_force { ExitCode::SUCCESS } else { ExitCode::from(EXIT_USAGE) })
}

/// What else to try where nobody answered: a file may have been changed since its gateway was started.
pub(super) fn hint(named: Option<&Endpoint>) -> &'static str {
    match named {
        Some(_) => "",
        None => {
            "\nThis is where the file has the admin listener now: where the gateway has another, name it with --admin"
        }
    }
}

pub(super) fn admin_of(loaded: &Loaded) -> Option<Endpoint> {
    let listener = loaded.config.listeners.values().find(|listener| listener.admin)?;
    format!("http://{}", listener.bind).parse().ok()
}
