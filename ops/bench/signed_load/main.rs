//! The signed side of ops/bench: devices that send commands, and each part of a command's cost by itself.
//!
//! Every measured subcommand prepares what it needs, prints one line, waits for a line on stdin, works, and
//! prints one JSON line; then it waits for the end of stdin. Whoever runs it can so read the kernel's
//! accounting of the processes exactly around the work.

#![allow(clippy::print_stdout, reason = "standard output is what the bench reads")]

mod answers;
mod calls;
mod commands;
mod crypto;
mod devices;

use clap::{Parser, Subcommand};
use std::{
    error::Error,
    io::{self, BufRead as _, Write as _},
};

/// Fails with what a person should read.
type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[derive(Parser)]
enum Arguments {
    /// Sends signed commands over keep-alive connections, each signed ahead of time.
    Commands(commands::Arguments),
    /// The cryptography of a command, in this process.
    Crypto(crypto::Arguments),
    /// Plain GET calls over keep-alive connections, as the gateway makes them to a backend.
    Calls(calls::Arguments),
    /// What the backend and the gateway are configured with.
    #[command(subcommand)]
    Print(Printed),
}

#[derive(Subcommand)]
enum Printed {
    /// A line for each device session: its id and its public key.
    Sessions {
        /// How many.
        count: u32,
    },
    /// The gateway's signing key as PKCS#8 PEM, the same one every time.
    Signer,
}

fn main() -> Outcome<()> {
    match Arguments::parse() {
        Arguments::Commands(arguments) => commands::run(&arguments),
        Arguments::Crypto(arguments) => crypto::run(&arguments),
        Arguments::Calls(arguments) => calls::run(&arguments),
        Arguments::Print(Printed::Sessions { count }) => devices::print(count),
        Arguments::Print(Printed::Signer) => answers::print_signer(),
    }
}

/// Says that everything is prepared, and waits until the work may begin.
fn await_start() -> Outcome<()> {
    say(r#"{"event":"prepared"}"#)?;
    if io::stdin().lock().read_line(&mut String::new())? == 0 {
        return Err("stdin ended ahead of the work".into());
    }
    Ok(())
}

/// Says what came of the work, and stays until stdin ends, so that the accounting can still be read.
fn report(result: &serde_json::Value) -> Outcome<()> {
    say(&result.to_string())?;
    io::stdin().lock().read_line(&mut String::new())?;
    Ok(())
}

fn say(line: &str) -> Outcome<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// Work on one thread: the bench pins this process to a single core.
fn on_one_thread<T>(work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
