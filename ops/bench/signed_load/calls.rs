//! GET calls as the gateway makes them to a backend, with nothing around them.

use crate::{Outcome, await_start, on_one_thread, report};
use bytes::Bytes;
use futures_util::future::try_join_all;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::net::SocketAddr;
use tokio::net::TcpStream;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The backend.
    #[arg(long)]
    target: SocketAddr,
    /// The path; `{n}` becomes the number of the connection.
    #[arg(long)]
    path: String,
    /// How many calls, over all connections.
    #[arg(long)]
    count: u64,
    /// Keep-alive connections, each with one call at a time.
    #[arg(long, default_value_t = 64)]
    connections: u32,
}

type Sender = http1::SendRequest<Empty<Bytes>>;

pub(crate) fn run(arguments: &Arguments) -> Outcome<()> {
    let each = arguments.count / u64::from(arguments.connections.max(1));
    on_one_thread(async {
        let senders = try_join_all((0..arguments.connections).map(|_| connect(arguments.target))).await?;
        await_start()?;
        let paths = (0..arguments.connections).map(|n| arguments.path.replace("{n}", &n.to_string()));
        let work = senders.into_iter().zip(paths).map(|(sender, path)| calls(sender, arguments.target, path, each));
        let tasks: Vec<_> = work.map(tokio::spawn).collect();
        for task in tasks {
            task.await??;
        }
        Ok(())
    })?;
    report(&json!({ "event": "done", "count": each * u64::from(arguments.connections), "errors": 0 }))
}

async fn connect(target: SocketAddr) -> Outcome<Sender> {
    let stream = TcpStream::connect(target).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn calls(mut sender: Sender, target: SocketAddr, path: String, count: u64) -> Outcome<()> {
    for _ in 0..count {
        sender.ready().await?;
        let request = Request::get(&path).header("host", target.to_string()).body(Empty::new())?;
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        answer.into_body().collect().await?;
        if status != StatusCode::OK {
            return Err(format!("the backend answered {status} to {path}").into());
        }
    }
    Ok(())
}
