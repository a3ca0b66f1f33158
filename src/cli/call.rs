//! `portcullis call`: one signed command from the shell.

use super::caller::{Caller, CallerArgs, ExitKind, misused, show_payload};
use crate::client::{Answer, CallError, Command, Device, unix_ms};
use bytes::Bytes;
use clap::ValueEnum;
use filters::api::units::Duration;
use proto::edge::v1::ExecuteCommandRequest;
use serde_json::{Value, json};
use std::{
    error::Error,
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
    // Where nothing can be written, nobody was told, so nothing went well.
    let outcome = call(&args, &mut io::stdout(), &mut io::stderr()).await.unwrap_or(ExitKind::Failed);
    ExitCode::from(outcome as u8)
}

async fn call(args: &CallArgs, out: &mut impl Write, err: &mut impl Write) -> io::Result<ExitKind> {
    let payload = payload(args.payload.as_deref().unwrap_or_default());
    let prepared = match payload {
        Ok(payload) => args.caller.caller().await.map(|caller| (caller, payload)),
        Err(fault) => Err(misused(&*fault)),
    };
    let (Caller { device, client, dialect }, payload) = match prepared {
        Ok(prepared) => prepared,
        Err((outcome, why)) => return writeln!(err, "{why}").map(|()| outcome),
    };
    let mut worst = ExitKind::Verified;
    let mut request = None;
    for _ in 0..if args.repeat_id { args.times.max(2) } else { args.times } {
        let request = match &mut request {
            Some(request) if args.repeat_id => request,
            slot => slot.insert(signed(args, &device, &payload).map_err(io::Error::other)?),
        };
        let outcome = match client.call(&args.caller.to, dialect, request).await {
            Ok(answer) => show(&device, request, &answer, out, err)?,
            Err(fault) => {
                writeln!(err, "{}", shown_fault(&fault, &request.request_id))?;
                ExitKind::Failed
            }
        };
        worst = worst.max(outcome);
    }
    Ok(worst)
}

/// A body that is given as text, as `@FILE`, or as `-` for standard input.
///
/// # Errors
/// Where it cannot be read, or is over 16 MiB.
pub(super) fn payload(given: &str) -> Result<Bytes, Box<dyn Error>> {
    let mut payload = Vec::new();
    if given == "-" {
        io::stdin().take(PAYLOAD_BYTES_MAX + 1).read_to_end(&mut payload)?;
    } else if let Some(path) = given.strip_prefix('@') {
        let file = fs::File::open(path).map_err(|fault| format!("{path}: {fault}"))?;
        file.take(PAYLOAD_BYTES_MAX + 1).read_to_end(&mut payload)?;
    } else {
        payload.extend_from_slice(given.as_bytes());
    }
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
        writeln!(err, "{}", json!({ "unverified": fault.to_string(), "request_id": request.request_id }))?;
        return Ok(ExitKind::Unverified);
    }
    let mut shown = json!({
        "verified": true,
        "result_code": response.result_code,
        "request_id": response.request_id,
        "timestamp_ms": response.timestamp_ms,
        "key_id": response.key_id,
    });
    if let Some(shown) = shown.as_object_mut() {
        show_payload(shown, &response.payload_bytes);
    }
    writeln!(out, "{shown}")?;
    Ok(ExitKind::Verified)
}

fn shown_fault(fault: &CallError, request_id: &str) -> Value {
    match fault {
        CallError::Refused(refused) => json!({ "refused": refused, "request_id": request_id }),
        other => json!({ "failed": other.to_string(), "request_id": request_id }),
    }
}

#[cfg(test)]
mod tests;
