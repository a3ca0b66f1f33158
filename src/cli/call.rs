//! `portcullis call`: one signed command from the shell.

use super::{
    caller::{Caller, CallerArgs, ExitKind, Shown, misused, write_json},
    output::{Stderr, Stdout},
};
use crate::client::{Answer, CallError, Command, Device, unix_ms};
use bytes::Bytes;
use clap::ValueEnum;
use filters::api::units::Duration;
use proto::edge::v1::ExecuteCommandRequest;
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};
use std::{
    error::Error,
    ffi::OsStr,
    fmt::Display,
    fs,
    io::{self, Read as _, Write},
    process::ExitCode,
    str::FromStr,
};

const PAYLOAD_BYTES_MAX: u64 = 16 << 20;

/// Sends a signed command and verifies the answer.
///
/// Prints the verified answer as one line of JSON. A refusal goes to stderr as JSON, with exit code 1; an
/// answer that does not verify gives 3, wrong usage 2.
#[derive(Debug, clap::Args)]
pub struct CallArgs {
    /// The command's name, such as user.account.get
    message_type: String,
    /// The payload: text, @FILE, or - for standard input; empty where it is left out
    payload: Option<String>,
    #[command(flatten)]
    caller: CallerArgs,
    /// Send so many commands, one after the other
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    times: u32,
    /// Send the very same request again (twice, unless --times says more)
    #[arg(long)]
    repeat_id: bool,
    /// Change the request after it was signed
    #[arg(long, value_enum)]
    tamper: Option<Tamper>,
    /// Sign with another time: Unix milliseconds, or an offset from now such as -120s
    #[arg(long, value_name = "MS|OFFSET", allow_hyphen_values = true)]
    timestamp: Option<Timestamp>,
}

/// What is changed after signing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Tamper {
    /// The payload, so that it no longer has its hash.
    Payload,
    /// The signature.
    Signature,
}

/// A time to sign with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timestamp {
    At(i64),
    FromNow(i64),
}

impl FromStr for Timestamp {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(at) = text.parse() {
            return Ok(Self::At(at));
        }
        let (sign, length) = match text.split_at_checked(1) {
            Some(("-", length)) => (-1, length),
            Some(("+", length)) => (1, length),
            _ => return Err("write Unix milliseconds, or an offset such as -120s or +2m".to_owned()),
        };
        let length: Duration = length.parse().map_err(|fault: filters::api::units::UnitProblem| fault.to_string())?;
        let millis = i64::try_from(length.get().as_millis()).map_err(|fault| fault.to_string())?;
        Ok(Self::FromNow(sign * millis))
    }
}

impl Timestamp {
    /// Unix milliseconds.
    pub(super) fn unix_ms(self) -> i64 {
        match self {
            Self::At(at) => at,
            Self::FromNow(offset) => unix_ms().saturating_add(offset),
        }
    }
}

/// Runs the subcommand.
pub async fn run(args: CallArgs) -> ExitCode {
    ExitCode::from(call(&args, &mut Stdout, &mut Stderr).await as u8)
}

/// Nothing more is sent once nothing more can be printed.
async fn call(args: &CallArgs, out: &mut impl Write, err: &mut impl Write) -> ExitKind {
    let payload = payload(args.payload.as_deref().unwrap_or_default());
    let prepared = match payload {
        Ok(payload) => args.caller.caller().await.map(|caller| (caller, payload)),
        Err(fault) => Err(misused(&*fault)),
    };
    let (caller, payload) = match prepared {
        Ok(prepared) => prepared,
        Err((outcome, why)) => {
            // That nobody can be told changes no outcome.
            let _ = write_json(err, &why);
            return outcome;
        }
    };
    let mut worst = ExitKind::Verified;
    let mut request = None;
    for _ in 0..if args.repeat_id { args.times.max(2) } else { args.times } {
        let request = match (&mut request, signed(args, &caller.device, &payload)) {
            (Some(request), _) if args.repeat_id => request,
            (slot, Ok(signed)) => slot.insert(signed),
            (_, Err(fault)) => {
                let _ = write_json(err, &json!({ "failed": fault.to_string() }));
                return worst.max(ExitKind::Failed);
            }
        };
        match one(args, &caller, request, out, err).await {
            Ok(outcome) => worst = worst.max(outcome),
            Err(_) => break,
        }
    }
    worst
}

/// Sends one command, and prints what came of it. Fails where that cannot be printed.
async fn one(
    args: &CallArgs,
    caller: &Caller,
    request: &ExecuteCommandRequest,
    out: &mut impl Write,
    err: &mut impl Write,
) -> io::Result<ExitKind> {
    let Caller { device, client, dialect } = caller;
    match client.call(&args.caller.to, *dialect, request).await {
        Ok(answer) => show(device, request, &answer, out, err),
        Err(fault) => {
            let _ = write_json(err, &shown_fault(&fault, &request.request_id));
            Ok(ExitKind::Failed)
        }
    }
}

/// A body that is given as text, as `@FILE`, or as `-` for standard input.
///
/// # Errors
/// Where it cannot be read, or is over 16 MiB.
pub(super) fn payload(given: &str) -> Result<Bytes, Box<dyn Error>> {
    match given.strip_prefix('@') {
        Some(path) => file(OsStr::new(path)),
        None if given == "-" => within_limit(io::stdin()),
        None => within_limit(given.as_bytes()),
    }
}

/// What a file holds.
///
/// # Errors
/// Where it cannot be read, or is over 16 MiB.
pub(super) fn file(path: &OsStr) -> Result<Bytes, Box<dyn Error>> {
    let named = |fault: &dyn Display| format!("{}: {fault}", path.display());
    let file = fs::File::open(path).map_err(|fault| named(&fault))?;
    within_limit(file).map_err(|fault| named(&fault).into())
}

fn within_limit(from: impl io::Read) -> Result<Bytes, Box<dyn Error>> {
    let mut payload = Vec::new();
    from.take(PAYLOAD_BYTES_MAX + 1).read_to_end(&mut payload)?;
    if payload.len() as u64 > PAYLOAD_BYTES_MAX {
        return Err("the payload is over 16 MiB".into());
    }
    Ok(payload.into())
}

fn signed(args: &CallArgs, device: &Device, payload: &Bytes) -> Result<ExecuteCommandRequest, getrandom::Error> {
    let mut command = Command::new(args.message_type.clone(), payload.clone())?;
    if let Some(timestamp) = args.timestamp {
        command.timestamp_ms = timestamp.unix_ms();
    }
    let mut request = device.sign(&command);
    match args.tamper {
        None => {}
        Some(Tamper::Payload) => request.payload_bytes = [&request.payload_bytes, b" ".as_slice()].concat().into(),
        Some(Tamper::Signature) => {
            let mut signature = request.signature.to_vec();
            if let Some(first) = signature.first_mut() {
                *first ^= 1;
            }
            request.signature = signature.into();
        }
    }
    Ok(request)
}

fn show(
    device: &Device,
    request: &ExecuteCommandRequest,
    answer: &Answer,
    out: &mut impl Write,
    err: &mut impl Write,
) -> io::Result<ExitKind> {
    let response = &answer.response;
    if let Err(fault) = device.verify(request, response) {
        let _ = write_json(err, &json!({ "unverified": fault.to_string(), "request_id": request.request_id }));
        return Ok(ExitKind::Unverified);
    }
    let payload = Shown::of(&response.payload_bytes);
    let verified = Verified {
        key_id: &response.key_id,
        payload: payload.json(),
        payload_base64: payload.base64(),
        request_id: &response.request_id,
        result_code: &response.result_code,
        timestamp_ms: response.timestamp_ms,
        verified: true,
    };
    write_json(out, &verified)?;
    Ok(ExitKind::Verified)
}

/// An answer that has verified, as it is printed.
#[derive(Serialize)]
struct Verified<'a> {
    key_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<&'a str>,
    request_id: &'a str,
    result_code: &'a str,
    timestamp_ms: i64,
    verified: bool,
}

fn shown_fault(fault: &CallError, request_id: &str) -> Value {
    match fault {
        CallError::Refused(refused) => json!({ "refused": refused, "request_id": request_id }),
        other => json!({ "failed": other.to_string(), "request_id": request_id }),
    }
}

#[cfg(test)]
mod tests;
