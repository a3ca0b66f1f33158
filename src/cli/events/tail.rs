//! `portcullis events tail`: a device's events in the shell.

use super::{
    super::{
        caller::{Caller, CallerArgs, ExitKind, Shown, write_json},
        output::{Stderr, Stdout},
    },
    remedy::remedy,
};
use crate::{
    client::{CallError, Subscription},
    events::backoff::Backoff,
};
use filters::api::units::Duration;
use proto::edge::v1::{Event, SubscribeOptions};
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};
use std::{
    io::{self, Write},
    process::ExitCode,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep},
};

/// What begins the event types that are the gateway's own.
const OWN: &str = "gateway.";

/// A stream that stood for so long was a good one, even if it brought nothing.
const GOOD: std::time::Duration = std::time::Duration::from_secs(10);

/// Subscribes to a device's events and prints each as it comes, verified.
///
/// An event is one line of JSON. A stream that ends is opened again after the last position, with waits that double up
/// to 10 s; stderr says so. A refusal that would only come again goes to stderr as JSON, with what to do about it, and
/// gives exit code 1; an event that does not verify gives 3, wrong usage 2, Ctrl-C 0.
#[derive(Debug, clap::Args)]
pub struct TailArgs {
    #[command(flatten)]
    caller: CallerArgs,
    /// Begin after the event that had this position, instead of now
    #[arg(long, value_name = "POSITION", default_value = "", hide_default_value = true)]
    resume_after: String,
    /// Only events of this type; may be given several times
    #[arg(long = "type", value_name = "EVENT_TYPE")]
    event_types: Vec<String>,
    /// End after so many events; the gateway's own are not counted
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End with the stream instead of opening another
    #[arg(long)]
    once: bool,
    /// Give a stream up that brings nothing for so long, not even a heartbeat
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    silence: Duration,
}

/// Runs the subcommand.
pub(super) async fn run(args: TailArgs) -> ExitCode {
    let stopped = async {
        match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
            (Ok(mut interrupt), Ok(mut terminate)) => tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            },
            // Without handlers the signals end the process by themselves.
            _ => std::future::pending().await,
        }
    };
    let (mut out, mut err) = (Stdout, Stderr);
    let outcome = tokio::select! {
        () = stopped => ExitKind::Verified,
        // A reader that has seen enough ends it, as Ctrl-C does; a disk that is full is told of by who runs this.
        outcome = tail(&args, &mut out, &mut err) => outcome.unwrap_or(ExitKind::Verified),
    };
    ExitCode::from(outcome as u8)
}

async fn tail(args: &TailArgs, out: &mut impl Write, err: &mut impl Write) -> io::Result<ExitKind> {
    let caller = match args.caller.caller().await {
        Ok(caller) => caller,
        Err((outcome, why)) => return write_json(err, &why).map(|()| outcome),
    };
    let position = args.resume_after.clone();
    let mut tail = Tail { args, caller, position, left: args.count, backoff: Backoff::new(fastrand::Rng::new()) };
    loop {
        let end = tail.stream(out).await?;
        match verdict(&end, args.once) {
            Verdict::Over(outcome, None) => return Ok(outcome),
            Verdict::Over(outcome, Some(why)) => return write_json(err, &why).map(|()| outcome),
            Verdict::Again { why, not_before } => {
                let wait = tail.backoff.wait().max(not_before);
                let told = json!({ "why": why, "in_ms": wait.as_millis(), "resume_after": tail.position });
                write_json(err, &json!({ "reconnecting": told }))?;
                sleep(wait).await;
            }
        }
    }
}

struct Tail<'a> {
    args: &'a TailArgs,
    caller: Caller,
    /// What the next stream is to resume after.
    position: String,
    /// How many events are still to be printed, where that is limited.
    left: Option<u64>,
    backoff: Backoff,
}

/// How a stream ended.
enum End {
    /// All that was asked for has come.
    Counted,
    /// The gateway has ended it, and gave no reason.
    Regular,
    Fault(Box<CallError>),
}

/// What follows from an end.
enum Verdict {
    /// Nothing more: the outcome, and what to say of it.
    Over(ExitKind, Option<Value>),
    /// Another stream.
    Again { why: String, not_before: std::time::Duration },
}

impl Tail<'_> {
    /// Opens a stream and prints what it brings, to its end.
    async fn stream(&mut self, out: &mut impl Write) -> io::Result<End> {
        let Caller { device, client, dialect } = &self.caller;
        let options =
            SubscribeOptions { resume_after: self.position.clone(), event_types: self.args.event_types.clone() };
        let opened = client.subscribe(&self.args.caller.to, *dialect, device, &options).await;
        let mut stream = match opened {
            Ok(stream) => stream,
            Err(fault) => return Ok(End::Fault(Box::new(fault))),
        };
        let begun = Instant::now();
        self.take(out, &stream, &stream.opened)?;
        let end = loop {
            match stream.next(self.args.silence.get()).await {
                Ok(Some(event)) => self.take(out, &stream, &event)?,
                Ok(None) => break End::Regular,
                Err(fault) => break End::Fault(Box::new(fault)),
            }
            if self.left == Some(0) {
                break End::Counted;
            }
        };
        if begun.elapsed() >= GOOD {
            self.backoff.reset();
        }
        Ok(end)
    }

    /// Prints an event.
    fn take(&mut self, out: &mut impl Write, stream: &Subscription, event: &Event) -> io::Result<()> {
        write_json(out, &Printed::of(event, &Shown::of(&event.payload_bytes)))?;
        stream.position().clone_into(&mut self.position);
        if !event.event_type.starts_with(OWN) {
            self.left = self.left.map(|left| left.saturating_sub(1));
            self.backoff.reset();
        }
        Ok(())
    }
}

fn verdict(end: &End, is_once: bool) -> Verdict {
    let fault = match end {
        End::Counted => return Verdict::Over(ExitKind::Verified, None),
        End::Regular if is_once => return Verdict::Over(ExitKind::Verified, None),
        End::Regular => return again("the gateway has ended the stream".to_owned(), None),
        End::Fault(fault) => fault,
    };
    match &**fault {
        CallError::Unverified(fault) => {
            Verdict::Over(ExitKind::Unverified, Some(json!({ "unverified": fault.to_string() })))
        }
        CallError::Refused(refused) => match remedy(refused) {
            Some(remedy) => Verdict::Over(ExitKind::Failed, Some(json!({ "refused": refused, "remedy": remedy }))),
            None if is_once => Verdict::Over(ExitKind::Failed, Some(json!({ "refused": refused }))),
            None => again(refused.to_string(), refused.retry_after_seconds),
        },
        other if is_once => Verdict::Over(ExitKind::Failed, Some(json!({ "failed": other.to_string() }))),
        other => again(other.to_string(), None),
    }
}

fn again(why: String, retry_after_seconds: Option<u64>) -> Verdict {
    let not_before = std::time::Duration::from_secs(retry_after_seconds.unwrap_or_default());
    Verdict::Again { why, not_before }
}

/// An event as it is printed: of what the gateway has signed, everything that says something.
#[derive(Serialize)]
struct Printed<'a> {
    event_id: &'a str,
    event_type: &'a str,
    key_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<&'a str>,
    position: &'a str,
    request_id: &'a str,
    subject: &'a str,
    timestamp_ms: i64,
    verified: bool,
}

impl<'a> Printed<'a> {
    fn of(event: &'a Event, payload: &'a Shown) -> Self {
        Self {
            event_id: &event.event_id,
            event_type: &event.event_type,
            key_id: &event.key_id,
            payload: payload.json(),
            payload_base64: payload.base64(),
            position: &event.position,
            request_id: &event.request_id,
            subject: &event.subject,
            timestamp_ms: event.timestamp_ms,
            verified: true,
        }
    }
}
