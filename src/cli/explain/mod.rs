//! `portcullis explain`.

mod curl;
mod request;

use super::{EXIT_USAGE, call::Timestamp, check::Format, fail, say, variable};
use crate::{
    config::{self, Loaded},
    explain::{Answers, Explanation, Given, Lookups, Outcome, Rehearsal, Request},
};
use bytes::Bytes;
use http::StatusCode;
use request::RequestArgs;
use std::{collections::BTreeMap, error::Error, fs, io, path::PathBuf, process::ExitCode};

/// Exit code for a request that needs what is not here to be decided.
const EXIT_UNDECIDED: u8 = 3;
/// Larger answers of a lookup are no session.
const SESSION_BYTES_MAX: usize = 1 << 20;

/// Says what a configuration makes of a request: the route, what each filter says, and what goes where. Nothing is
/// sent: stores are in memory and new, and of backends only what is given here is known.
///
/// Exit codes: 0 where the request is forwarded or answered, 1 where it is refused, 2 where the configuration or the
/// command line has problems, 3 where what decides it is not here.
#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// The configuration
    #[arg(default_value = "gateway.yaml", env = "PORTCULLIS_CONFIG")]
    config: PathBuf,
    #[command(flatten)]
    request: RequestArgs,
    /// What the backend answers to the lookup of the session: a file of JSON, or `none` where there is no such session
    #[arg(long, value_name = "FILE|none")]
    session: Option<String>,
    /// The time of the request: Unix milliseconds, or an offset from now such as -120s
    #[arg(long, value_name = "MS|OFFSET", allow_hyphen_values = true)]
    at: Option<Timestamp>,
    /// How it is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Runs the subcommand.
pub async fn run(args: ExplainArgs) -> ExitCode {
    let loaded = match config::load_without_secrets(&args.config, &variable) {
        Ok(loaded) => loaded,
        Err(report) => {
            say(io::stderr(), &report.to_string());
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match explain(&args, loaded).await {
        Ok(explanation) => {
            match args.format {
                Format::Text => say(io::stdout(), explanation.to_string().trim_end()),
                Format::Json => match serde_json::to_string_pretty(&explanation) {
                    Ok(json) => say(io::stdout(), &json),
                    Err(error) => return fail(&error.to_string()),
                },
            }
            ExitCode::from(code(&explanation))
        }
        Err(fault) => {
            say(io::stderr(), &format!("portcullis explain: {fault}"));
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn code(explanation: &Explanation) -> u8 {
    match explanation.outcome {
        Outcome::Forwarded { .. } | Outcome::Answered { .. } | Outcome::Opened { .. } => 0,
        Outcome::Refused { .. } => 1,
        Outcome::Undecided { .. } => EXIT_UNDECIDED,
    }
}

async fn explain(args: &ExplainArgs, loaded: Loaded) -> Result<Explanation, Box<dyn Error>> {
    let at_ms = args.at.unwrap_or(Timestamp::FromNow(0)).unix_ms();
    let (request, made_up): (Request, Option<Given>) = args.request.read(&loaded, at_ms)?;
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
    let body = fs::read(file).map_err(|error| format!("{file}: {error}"))?;
    if body.len() > SESSION_BYTES_MAX {
        return Err(format!("{file}: no session is so large").into());
    }
    serde_json::from_slice::<serde_json::Value>(&body).map_err(|error| format!("{file} is no JSON: {error}"))?;
    Ok(Given { status: StatusCode::OK, headers: http::HeaderMap::new(), body: Bytes::from(body) })
}
