//! `portcullis reload`.

use super::{
    EXIT_USAGE,
    check::Format,
    fail,
    output::{complain, show, show_json},
    paint::Look,
    same_file,
    source::{self, CONFIG_VARIABLE, Secrets},
};
use crate::{
    client::{Client, Endpoint, HttpVersion, Reply, Trust},
    config::Loaded,
    vitals::Foreseen,
};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use serde::Deserialize;
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

/// A gateway first tries the stores that are new, each for as long as its time-outs say.
const DEADLINE: Duration = Duration::from_secs(60);
/// The configuration where none is named.
const FILE: &str = "gateway.yaml";

/// Which gateway is meant: the one that runs a file, or the one at an address.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct GatewayArgs {
    /// The configuration that the gateway runs: it says where the admin listener is [default: gateway.yaml]
    #[arg(value_name = "FILE", env = CONFIG_VARIABLE)]
    pub(super) config: Option<PathBuf>,
    /// The admin listener, such as http://127.0.0.1:9901, where it is another than the configuration says
    #[arg(long, value_name = "URL")]
    pub(super) admin: Option<Endpoint>,
}

impl GatewayArgs {
    /// The file that the gateway should run; none where only its address was named.
    pub(super) fn file(&self) -> Option<&Path> {
        let is_of_the_environment = || {
            let variable = std::env::var_os(CONFIG_VARIABLE);
            variable.is_some_and(|variable| self.config.as_deref() == Some(Path::new(&variable)))
        };
        match (&self.config, &self.admin) {
            (Some(file), None) => Some(file),
            (Some(file), Some(_)) => Some(file.as_path()).filter(|_| !is_of_the_environment()),
            (None, None) => Some(self.file_or_default()),
            (None, Some(_)) => None,
        }
    }

    /// The file that is named, or that which is meant where none is.
    pub(super) fn file_or_default(&self) -> &Path {
        self.config.as_deref().unwrap_or(Path::new(FILE))
    }

    /// Returns the admin listener, or says why there is none.
    pub(super) fn endpoint(&self, command: &str, signal: &str, format: Format) -> Result<Endpoint, ExitCode> {
        if let Some(file) = self.file() {
            source::must_be_a_file(command, file)?;
        }
        if let Some(admin) = &self.admin {
            return Ok(admin.clone());
        }
        match admin_of(&source::load(self.file_or_default(), Secrets::Read, format)?) {
            Some(admin) => Ok(admin),
            None => Err(fail(&format!(
                "portcullis {command}: no listener has `admin: true`: name one with --admin, or send {signal}"
            ))),
        }
    }

    /// What else to try where nobody answered: a file may have been changed since its gateway was started.
    pub(super) fn hint(&self) -> &'static str {
        match self.admin {
            Some(_) => "",
            None => {
                "\nThis is where the file has the admin listener now: where the gateway has another, name it with --admin"
            }
        }
    }
}

/// Which gateway is to read its configuration again.
#[derive(Debug, clap::Args)]
pub(super) struct ReloadArgs {
    #[command(flatten)]
    pub(super) gateway: GatewayArgs,
    /// Only say what would be done: what differs, what hangs on it, and what becomes of that
    #[arg(long)]
    pub(super) plan: bool,
    /// Do it even where it ends more streams than `reload.max_streams_cut`
    #[arg(long, conflicts_with = "plan")]
    pub(super) force: bool,
    /// How what is said is printed
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
/// force, or would be; 1 where no gateway answered; 2 where it was not taken up, or would not be, or the gateway runs another
/// file: everything is as it was.
pub(super) async fn reload(args: ReloadArgs) -> ExitCode {
    let admin = match args.gateway.endpoint("reload", "SIGHUP", args.format) {
        Ok(admin) => admin,
        Err(code) => return code,
    };
    let client = Client::new(DEADLINE, &Trust::nobody());
    let ask = |method, path| client.exchange(&admin, HttpVersion::Http1, method, path, HeaderMap::new(), Bytes::new());
    let nobody = |fault| fail(&format!("portcullis reload: {admin}: {fault}{}", args.gateway.hint()));
    if args.plan || args.gateway.file().is_some() {
        let reply = match ask(Method::GET, "/reload").await {
            Ok(reply) => reply,
            Err(fault) => return nobody(fault),
        };
        if let Some(Err(why)) = args.gateway.file().map(|file| same_file::compare(&reply, &admin, file)) {
            return refused(&args, &why);
        }
        if args.plan {
            return told(&args, &admin, &reply);
        }
    }
    let path = if args.force { "/reload?force" } else { "/reload" };
    match ask(Method::POST, path).await {
        Ok(reply) => told(&args, &admin, &reply),
        Err(fault) => nobody(fault),
    }
}

/// Says that this command is not for that gateway.
fn refused(args: &ReloadArgs, why: &str) -> ExitCode {
    match args.format {
        Format::Json => show_json(&json!({ "outcome": "refused", "why": why }).to_string()),
        Format::Text => complain(Look::Problems, &format!("portcullis reload: {why}")),
    }
    ExitCode::from(EXIT_USAGE)
}

/// Says what a gateway has answered.
fn told(args: &ReloadArgs, admin: &Endpoint, reply: &Reply) -> ExitCode {
    let foreseen = if args.plan { foreseen(args, reply) } else { None };
    foreseen.or_else(|| outcome(args, reply)).unwrap_or_else(|| {
        fail(&format!("portcullis reload: {admin} answered {}: is it the admin listener?", reply.status))
    })
}

/// Says what would come of it, where the gateway has said so.
fn foreseen(args: &ReloadArgs, reply: &Reply) -> Option<ExitCode> {
    let foreseen: Foreseen = serde_json::from_slice(&reply.body).ok()?;
    match args.format {
        Format::Json => show_json(&serde_json::to_string_pretty(&foreseen).ok()?),
        Format::Text => show(Look::Changes, &foreseen.to_string()),
    }
    Some(if foreseen.is_refused() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS })
}

/// Says what came of it, where the gateway has said so.
fn outcome(args: &ReloadArgs, reply: &Reply) -> Option<ExitCode> {
    let told: Told = serde_json::from_slice(&reply.body).ok()?;
    let is_in_force = reply.status == StatusCode::OK;
    match (args.format, is_in_force) {
        (Format::Json, _) => show_json(&String::from_utf8_lossy(&reply.body)),
        (Format::Text, true) => show(Look::Plain, &format!("{} {}", told.outcome, told.revision)),
        (Format::Text, false) => {
            let list = told.foreseen.map(|foreseen| format!("{}{}\n", foreseen.changes, foreseen.changes.summary()));
            let said = format!("{}{}", list.unwrap_or_default(), told.why);
            complain(Look::Problems, &format!("{said}\nNot taken up: {} is in force as before.", told.revision));
        }
    }
    Some(if is_in_force { ExitCode::SUCCESS } else { ExitCode::from(EXIT_USAGE) })
}

/// The admin listener of a configuration.
pub(super) fn admin_of(loaded: &Loaded) -> Option<Endpoint> {
    let listener = loaded.config.listeners.values().find(|listener| listener.admin)?;
    format!("http://{}", listener.bind).parse().ok()
}
