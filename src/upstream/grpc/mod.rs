//! Calls to gRPC upstreams: messages out, messages in, and how it ended.

mod answer;
pub mod messages;
mod request;

use super::Upstream;
use crate::wire::{Encoding, Failure};
use bytes::Bytes;
use futures_util::{future::BoxFuture, stream::BoxStream};
use http::HeaderMap;
use messages::Messages;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// Whatever answers RPCs. All messages are protobuf, bare and decompressed.
pub trait Callee: Send + Sync {
    /// Makes one call. Dropping the future, or the reply, cancels it at once.
    ///
    /// # Errors
    /// Where it failed ahead of the reply's headers.
    fn call(&self, call: Call) -> BoxFuture<'static, Result<Reply, Failure>>;
}

/// One call.
#[derive(Debug)]
pub struct Call {
    /// `/package.Service/Method`.
    pub path: Arc<str>,
    /// The caller's metadata.
    pub headers: HeaderMap,
    /// When the caller stops waiting.
    pub deadline: Option<Instant>,
    /// The messages that it brings.
    pub requests: Requests,
}

/// The messages of a caller.
#[derive(Debug)]
pub enum Requests {
    /// Exactly one.
    One(Bytes),
    /// As they come.
    Stream(Messages),
}

/// What is answered.
pub struct Reply {
    /// The metadata ahead of the messages.
    pub headers: HeaderMap,
    /// The messages, and last an end.
    pub pieces: BoxStream<'static, Piece>,
}

/// A piece of a reply.
#[derive(Debug)]
pub enum Piece {
    /// A message.
    Message(Bytes),
    /// How it ended: well, with the metadata behind the messages, or not. Nothing follows.
    End(Result<HeaderMap, Failure>),
}

/// An upstream that speaks gRPC.
pub struct GrpcUpstream {
    /// Where the calls go.
    pub upstream: Arc<Upstream>,
    /// How messages to it are compressed, and what it may answer in.
    pub encoding: Encoding,
    /// The largest message that it may answer with, decompressed, in bytes.
    pub message_bytes_max: usize,
}

impl Callee for GrpcUpstream {
    fn call(&self, call: Call) -> BoxFuture<'static, Result<Reply, Failure>> {
        let (upstream, encoding, bytes_max) = (Arc::clone(&self.upstream), self.encoding, self.message_bytes_max);
        Box::pin(async move {
            let deadline = call.deadline;
            let opened = upstream.open(request::build(call, encoding)?).await;
            let answered = opened.map_err(|fault| answer::unreachable(&upstream, &fault, deadline))?;
            answer::read(answered, upstream, bytes_max, deadline)
        })
    }
}

/// What is left until a deadline.
fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}
