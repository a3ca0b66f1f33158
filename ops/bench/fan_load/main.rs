//! The outer sides of ops/bench/fanout in one process, so that one clock has both ends: the backend that pushes and
//! knows the sessions, and the devices that read. It does the same work against other servers of events.
//!
//! It takes one command a line on stdin, in JSON, and answers each with one line; it ends with stdin.

#![allow(clippy::print_stdout, reason = "standard output is what the bench reads")]

mod backend;
mod device;
mod devices;
mod frames;
mod grpc;
mod meter;
mod publish;
mod push;
mod socket;

use clap::Parser;
use devices::Open;
use meter::Meter;
use publish::{Publish, Publisher, Revoke};
use push::Push;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    error::Error,
    io::{BufRead as _, Write as _, stdin},
    net::SocketAddr,
    sync::Arc,
    thread,
};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Fails with what a person should read.
type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[derive(Parser)]
struct Arguments {
    /// Where push.v1.Push is served.
    #[arg(long)]
    push: SocketAddr,
    /// Where sessions are looked up, and where Pushpin asks what to do with a WebSocket.
    #[arg(long)]
    rest: SocketAddr,
}

/// What may be asked for.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Command {
    /// Opens streams, and answers once all have begun.
    Open(Open),
    /// Publishes events, and answers once each has reached every device that it is for.
    Publish(Publish),
    /// Ends sessions one after the other, and answers once their streams are closed.
    Revoke(Revoke),
    /// Closes all streams.
    Close,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let arguments = Arguments::parse();
    let push = Push::default();
    push.serve(arguments.push).await?;
    backend::serve(arguments.rest).await?;
    say(&json!({ "event": "ready" }))?;
    let mut bench = Bench { meter: Arc::default(), streams: Vec::new(), publisher: Publisher::new(push) };
    let mut lines = lines();
    while let Some(line) = lines.recv().await {
        let answer = match bench.carry_out(serde_json::from_str(&line)?).await {
            Ok(answer) => answer,
            Err(error) => json!({ "error": error.to_string() }),
        };
        say(&answer)?;
    }
    Ok(())
}

/// What comes on stdin. Reading it blocks, so a thread does.
fn lines() -> UnboundedReceiver<String> {
    let (sender, lines) = unbounded_channel();
    thread::spawn(move || stdin().lock().lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    lines
}

struct Bench {
    meter: Arc<Meter>,
    streams: Vec<tokio::task::AbortHandle>,
    publisher: Publisher,
}

impl Bench {
    async fn carry_out(&mut self, command: Command) -> Outcome<Value> {
        match command {
            Command::Open(open) => {
                let before = self.meter.open();
                self.streams.extend(devices::open(&open, &self.meter).await?);
                Ok(json!({ "opened": self.meter.open() - before }))
            }
            Command::Publish(publish) => self.publisher.publish(&publish, &self.meter).await,
            Command::Revoke(revoke) => self.publisher.revoke(&revoke, &self.meter).await,
            Command::Close => {
                self.streams.drain(..).for_each(|stream| stream.abort());
                self.meter = Arc::default();
                Ok(json!({ "closed": true }))
            }
        }
    }
}

fn say(answer: &Value) -> Outcome<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{answer}")?;
    Ok(out.flush()?)
}
