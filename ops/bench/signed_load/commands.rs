//! Devices that send signed commands: over HTTP/1.1 as Connect, or over HTTP/2 as gRPC.

use crate::{
    Outcome,
    answers::{self, Look},
    await_start,
    devices::Device,
    on_one_thread, report,
};
use bytes::{BufMut as _, Bytes, BytesMut};
use clap::ValueEnum;
use futures_util::future::try_join_all;
use http::{Request, StatusCode, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use serde_json::json;
use std::{
    net::SocketAddr,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::{net::TcpStream, time::timeout};

const PATH: &str = "/edge.v1.Gateway/ExecuteCommand";

/// Of one command. A gateway that takes longer has failed it.
const COMMAND_DEADLINE: Duration = Duration::from_secs(5);

/// Signed ahead of time, a command lives for the freshness window of 60 s; signing, waiting and sending must
/// all fit into it.
const COUNT_MAX: u32 = 200_000;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The gateway.
    #[arg(long)]
    target: SocketAddr,
    /// How many commands, over all connections.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(COUNT_MAX)))]
    count: u32,
    /// Keep-alive connections, each with one command at a time.
    #[arg(long, default_value_t = 64)]
    connections: u32,
    /// Device sessions. No fewer than connections, or lookups of one session would meet and be shared.
    #[arg(long, default_value_t = 256)]
    sessions: u32,
    /// What is spoken.
    #[arg(long, value_enum, default_value_t = Protocol::Connect)]
    protocol: Protocol,
    /// The target answers everything with a fixed message: hold the answers to nothing but `ok`.
    #[arg(long)]
    fixed_answers: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Protocol {
    Connect,
    Grpc,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// What one connection saw.
#[derive(Default)]
struct Seen {
    latencies_us: Vec<u32>,
    errors: u64,
    first_error: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Outcome<()> {
    if arguments.sessions < arguments.connections {
        return Err("fewer sessions than connections".into());
    }
    let shares = sign(arguments)?;
    let (seen, took) = on_one_thread(async {
        let connecting = shares.iter().map(|_| connect(arguments.target, arguments.protocol));
        let senders = try_join_all(connecting).await?;
        await_start()?;
        let start = Instant::now();
        let work = senders.into_iter().zip(shares).map(|(sender, share)| {
            send_all(sender, arguments.target, arguments.protocol, arguments.fixed_answers, share)
        });
        let tasks: Vec<_> = work.map(tokio::spawn).collect();
        let mut seen = Seen::default();
        for task in tasks {
            let part = task.await?;
            seen.latencies_us.extend(part.latencies_us);
            seen.errors += part.errors;
            seen.first_error = seen.first_error.or(part.first_error);
        }
        Ok((seen, start.elapsed()))
    })?;
    summarise(seen, took)
}

/// The commands of each connection, encoded.
fn sign(arguments: &Arguments) -> Outcome<Vec<Vec<Bytes>>> {
    let devices: Vec<Device> = (0..arguments.sessions).map(Device::numbered).collect();
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let timestamp_ms = i64::try_from(now.as_millis())?;
    let mut shares = vec![Vec::new(); arguments.connections as usize];
    let connections = shares.len();
    for (number, device) in (0..arguments.count as usize).zip(devices.iter().cycle()) {
        let command = device.command(format!("{:x}-{number:x}", now.as_nanos()), timestamp_ms);
        if let Some(share) = shares.get_mut(number % connections) {
            share.push(command.encode_to_vec().into());
        }
    }
    Ok(shares)
}

async fn connect(target: SocketAddr, protocol: Protocol) -> Outcome<Sender> {
    let stream = TcpStream::connect(target).await?;
    stream.set_nodelay(true)?;
    let io = TokioIo::new(stream);
    Ok(match protocol {
        Protocol::Connect => {
            let (sender, connection) = http1::handshake(io).await?;
            tokio::spawn(connection);
            Sender::Http1(sender)
        }
        Protocol::Grpc => {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
            tokio::spawn(connection);
            Sender::Http2(sender)
        }
    })
}

async fn send_all(
    mut sender: Sender,
    target: SocketAddr,
    protocol: Protocol,
    fixed: bool,
    commands: Vec<Bytes>,
) -> Seen {
    let mut seen = Seen { latencies_us: Vec::with_capacity(commands.len()), ..Seen::default() };
    for (number, command) in commands.into_iter().enumerate() {
        let look = match number % 64 {
            _ if fixed => Look::Code,
            0 => Look::Signature,
            _ => Look::Echo,
        };
        let start = Instant::now();
        let answered = match timeout(COMMAND_DEADLINE, send(&mut sender, target, protocol, command.clone())).await {
            Ok(answered) => answered,
            Err(_) => Err("no answer in time".into()),
        };
        seen.latencies_us.push(u32::try_from(start.elapsed().as_micros()).unwrap_or(u32::MAX));
        if let Err(error) = answered.and_then(|body| answers::check(&body, &command, look)) {
            seen.errors += 1;
            seen.first_error.get_or_insert_with(|| error.to_string());
        }
    }
    seen
}

/// The answer's message.
async fn send(sender: &mut Sender, target: SocketAddr, protocol: Protocol, command: Bytes) -> Outcome<Bytes> {
    let request = match protocol {
        Protocol::Connect => Request::post(PATH)
            .header("host", target.to_string())
            .header("content-type", "application/proto")
            .header("connect-protocol-version", "1")
            .body(Full::new(command))?,
        Protocol::Grpc => Request::post(format!("http://{target}{PATH}"))
            .version(Version::HTTP_2)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(framed(&command)?))?,
    };
    let answer = match sender {
        Sender::Http1(sender) => {
            sender.ready().await?;
            sender.send_request(request).await?
        }
        Sender::Http2(sender) => {
            sender.ready().await?;
            sender.send_request(request).await?
        }
    };
    let (head, body) = answer.into_parts();
    let body = body.collect().await?;
    if head.status != StatusCode::OK {
        let text = body.to_bytes();
        return Err(format!("{}: {}", head.status, String::from_utf8_lossy(&text)).into());
    }
    if protocol == Protocol::Connect {
        return Ok(body.to_bytes());
    }
    // A refusal has its status in the head, with no body after it.
    let status = body.trailers().and_then(|trailers| trailers.get("grpc-status")).or(head.headers.get("grpc-status"));
    if status.is_none_or(|status| status != "0") {
        return Err(format!("grpc-status {status:?}").into());
    }
    let bytes = body.to_bytes();
    match bytes.split_at_checked(5) {
        Some(([0, ..], _)) => Ok(bytes.slice(5..)),
        _ => Err("an answer without a plain message".into()),
    }
}

/// A message as gRPC frames it: not compressed, its length, its bytes.
fn framed(message: &Bytes) -> Outcome<Bytes> {
    let mut framed = BytesMut::with_capacity(message.len() + 5);
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len())?);
    framed.put_slice(message);
    Ok(framed.freeze())
}

fn summarise(mut seen: Seen, took: Duration) -> Outcome<()> {
    seen.latencies_us.sort_unstable();
    let count = seen.latencies_us.len();
    let at = |share: f64| seen.latencies_us.get((count as f64 * share) as usize).copied().unwrap_or_default();
    report(&json!({
        "event": "done",
        "count": count,
        "errors": seen.errors,
        "first_error": seen.first_error,
        "seconds": took.as_secs_f64(),
        "p50_us": at(0.50),
        "p99_us": at(0.99),
    }))
}
