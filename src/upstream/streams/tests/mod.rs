//! Streams to real HTTP/2 servers.

mod bodies;
mod endings;
mod peer;
mod raw;
mod sharing;
mod tls;

use super::*;
use crate::{
    client::Trust,
    upstream::{UpstreamOptions, UpstreamTls},
};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::BodyExt as _;
use hyper::StatusCode;
use std::{net::SocketAddr, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, sleep, timeout},
};

/// Longer than anything that is waited for; only a hang reaches it.
const HANG: Duration = Duration::from_secs(60);

fn options() -> UpstreamOptions {
    UpstreamOptions {
        connect: HANG,
        read: HANG,
        write: HANG,
        request: HANG,
        idle_max: 8,
        idle_timeout: HANG,
        answer_bytes_max: 1 << 20,
    }
}

fn upstream(addresses: &[SocketAddr]) -> Upstream {
    upstream_with(addresses, options())
}

fn upstream_with(addresses: &[SocketAddr], options: UpstreamOptions) -> Upstream {
    let urls: Vec<_> = addresses.iter().map(|address| format!("http://{address}")).collect();
    Upstream::new("backend", &urls, options).unwrap()
}

fn full(body: impl Into<Bytes>) -> StreamBody {
    StreamBody::Whole(body.into())
}

/// A request with a short body, as a unary call has.
fn call(path: &str) -> Request<StreamBody> {
    Request::post(path).body(full("ping")).unwrap()
}

/// A request whose body is never going on, and never ends.
fn endless(path: &str) -> Request<StreamBody> {
    let body = http_body_util::StreamBody::new(futures_util::stream::pending());
    Request::post(path).body(StreamBody::Flow(body.boxed_unsync())).unwrap()
}

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(HANG, future).await.unwrap_or_else(|_| panic!("{what} did not come"))
}

/// Looks again and again until it is so.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < HANG, "{what} did not come");
        sleep(Duration::from_millis(1)).await;
    }
}

/// The whole body of an answer.
async fn whole(response: Response<AnswerBody>) -> Bytes {
    assert_eq!(response.status(), StatusCode::OK);
    soon("the body", response.into_body().collect()).await.unwrap().to_bytes()
}

/// What is answered to one call.
async fn answer(upstream: &Upstream, request: Request<StreamBody>) -> Bytes {
    whole(soon("the head", upstream.open(request)).await.unwrap()).await
}

async fn fault(upstream: &Upstream, request: Request<StreamBody>) -> CallFault {
    soon("the fault", upstream.open(request)).await.expect_err("a fault")
}

/// An address where nobody listens.
async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}
