//! `portcullis explain`.

mod curl;
mod logged;
mod request;

use super::{
    EXIT_USAGE,
    call::Timestamp,
    check::Format,
    output::{complain, show, show_json},
    paint::Look,
    source::{self, CONFIG_VARIABLE, Secrets},
};
use crate::{
    config::Loaded,
    explain::{Answers, Explanation, Given, Lookups, Rehearsal, Request, Upshot},
    printable::escaped,
};
use bytes::Bytes;
use http::StatusCode;
use request::RequestArgs;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    error::Error,
    ffi::{OsStr, OsString},
    fmt::Display,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// The configuration where none is named.
const FILE: &str = "gateway.yaml";
/// Exit code for a request that needs what is not here to be decided.
const EXIT_UNDECIDED: u8 = 3;
/// Larger answers of a lookup are no session.
const SESSION_BYTES_MAX: u64 = 1 << 20;

/// Says what a configuration makes of a request: the route, what each filter says, and what goes where. Nothing is
/// sent: stores are in memory and new, and of backends only what is given here is known.
///
/// Exit codes: 0 where the request is (with --id: was) forwarded or answered, 1 where it or one behind it on its connection
/// is refused, 2 where the configuration or the command line has problems, 3 where what decides it is not here.
#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// The configuration, and the request as its path with its query, or a URL. Of the two the configuration may be left
    /// out: it is PORTCULLIS_CONFIG then, or gateway.yaml. - is standard input
    #[arg(value_names = ["FILE", "PATH|URL"], num_args = 0..=2)]
    names: Vec<OsString>,
    #[command(flatten)]
    request: RequestArgs,
    /// What the backend answers to the lookup of the session: JSON, a file of it, or `none` where there is no such session
    #[arg(long, value_name = "FILE|JSON|none")]
    session: Option<String>,
    /// The time of the request: Unix milliseconds, or an offset from now such as -120s
    #[arg(long, value_name = "MS|OFFSET", allow_hyphen_values = true)]
    at: Option<Timestamp>,
    /// What happened to the request of this id, out of the access log
    #[arg(long, value_name = "REQUEST_ID", conflicts_with_all = ["request", "curl", "command", "session", "at"])]
    id: Option<String>,
    /// The access log to look in; - is standard input. The configured one where it is left out
    #[arg(long, value_name = "FILE", requires = "id")]
    log: Option<String>,
    /// How it is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Runs the subcommand.
pub async fn run(args: ExplainArgs) -> ExitCode {
    let failed = |fault: &dyn Display| {
        complain(Look::Plain, &format!("portcullis explain: {}", escaped(&fault.to_string())));
        ExitCode::from(EXIT_USAGE)
    };
    let (file, target) = match args.file_and_target() {
        Ok(both) => both,
        Err(fault) => return failed(&fault),
    };
    let loaded = match source::load(&file, Secrets::Skipped, args.format) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let told = match &args.id {
        Some(id) => logged::story(&loaded, id, args.log.as_deref()).and_then(|story| {
            let code = u8::from(story.line.reason.is_some());
            Ok((shown(args.format, &story)?, code))
        }),
        None => explain(&args, target.as_deref(), loaded)
            .await
            .and_then(|told| Ok((shown(args.format, &told)?, code(&told)))),
    };
    match told {
        Ok((text, code)) => {
            match args.format {
                Format::Json => show_json(&text),
                Format::Text => show(Look::Explanation, &text),
            }
            ExitCode::from(code)
        }
        Err(fault) => failed(&fault),
    }
}

impl ExplainArgs {
    /// The configuration, and the path or URL of the request where that is how it is given.
    fn file_and_target(&self) -> Result<(PathBuf, Option<String>), String> {
        let is_told_otherwise = self.id.is_some() || self.request.is_told_otherwise();
        let (file, target) = match self.names.as_slice() {
            [] => (None, None),
            [file] if is_told_otherwise => (Some(file), None),
            [target] if is_target(target) && !Path::new(target).is_file() => (None, Some(target)),
            [file] => (Some(file), None),
            [file, _] if is_told_otherwise => {
                return Err(format!("the request is told twice: give {} alone", file.display()));
            }
            // In the other order one of them cannot be what it would be.
            [target, file] if is_target(target) && !is_target(file) => (Some(file), Some(target)),
            [file, target, ..] => (Some(file), Some(target)),
        };
        let file = file.map(PathBuf::from).unwrap_or_else(|| {
            let variable = std::env::var_os(CONFIG_VARIABLE).filter(|variable| !variable.is_empty());
            variable.unwrap_or_else(|| FILE.into()).into()
        });
        let target = target.map(|target| {
            target.to_str().map(str::to_owned).ok_or_else(|| format!("{} is not UTF-8", target.display()))
        });
        let reads_stdin = self.request.reads_stdin() || self.log.as_deref() == Some("-");
        if source::is_stdin(&file) && reads_stdin {
            return Err("standard input is the configuration, and so cannot hold the request".to_owned());
        }
        Ok((file, target.transpose()?))
    }
}

/// Whether a word can be nothing but a path or a URL of a request.
fn is_target(word: &OsStr) -> bool {
    let word = word.as_encoded_bytes();
    word.starts_with(b"/") || word == b"*" || word.windows(3).any(|three| three == b"://")
}

fn shown<T: Display + Serialize>(format: Format, told: &T) -> Result<String, Box<dyn Error>> {
    Ok(match format {
        Format::Text => told.to_string(),
        Format::Json => serde_json::to_string_pretty(told)?,
    })
}

fn code(explanation: &Explanation) -> u8 {
    let own = match explanation.upshot {
        Upshot::Forwarded { .. } | Upshot::Answered { .. } | Upshot::Opened { .. } => 0,
        Upshot::Refused { .. } => 1,
        Upshot::Undecided { .. } => EXIT_UNDECIDED,
    };
    own.max(explanation.next.as_deref().map_or(0, code))
}

async fn explain(args: &ExplainArgs, target: Option<&str>, loaded: Loaded) -> Result<Explanation, Box<dyn Error>> {
    let at_ms = args.at.unwrap_or(Timestamp::FromNow(0)).unix_ms();
    let (request, made_up): (Request, Option<Given>) = args.request.read(target, &loaded, at_ms)?;
    let lookups = match (args.session.as_deref(), made_up) {
        (Some("none"), _) => Lookups::ById(BTreeMap::new()),
        (Some(file), _) => Lookups::Always(session(file)?),
        (None, Some(session)) => Lookups::Always(session),
        (None, None) => Lookups::Unknown,
    };
    let rehearsal = Rehearsal::new(loaded, at_ms, Answers { lookups, upstreams: BTreeMap::new() })?;
    Ok(rehearsal.explain(&request).await)
}

fn session(file: &str) -> Result<Given, Box<dyn Error>> {
    let body = match file.starts_with('{') {
        true => file.as_bytes().to_owned(),
        false => {
            let mut body = Vec::new();
            let opened = fs::File::open(file).map_err(|error| format!("{file}: {error}"))?;
            opened.take(SESSION_BYTES_MAX + 1).read_to_end(&mut body)?;
            body
        }
    };
    if body.len() as u64 > SESSION_BYTES_MAX {
        return Err("no session is larger than 1 MiB".into());
    }
    serde_json::from_slice::<serde_json::Value>(&body).map_err(|error| format!("{file} is no JSON: {error}"))?;
    Ok(Given { status: StatusCode::OK, headers: http::HeaderMap::new(), body: Bytes::from(body) })
}
