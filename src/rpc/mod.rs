//! RPC: Connect, gRPC and gRPC-Web, for whatever answers, and the services of gRPC upstreams.
//!
//! A request is read into one message or a stream of them, whatever it was wrapped in, and its answer is wrapped
//! again: what is called sees neither protocol, codec nor compression.

mod admit;
mod answer;
mod asked;
mod binary;
mod caller;
mod exchange;
mod forward;
mod message;
pub(crate) mod offline;
pub(crate) mod refusal;
mod text;
pub mod transcode;
mod upload;

pub use caller::Codec;
pub(crate) use forward::metadata;
pub use forward::serve;

pub(crate) use admit::{Shape, admit};
pub(crate) use answer::Answer;
pub(crate) use asked::Asked;
pub(crate) use exchange::deadline;
pub(crate) use message::MessageFault;

use crate::{
    plan::{Route, Target},
    proxy::context::RequestContext,
    wire::Failure,
};
use caller::{Caller, Protocol};
use filters::{
    api::{Reason, Refusal},
    chain::Stop,
};
use pingora_core::Result;
use pingora_http::RequestHeader;
use pingora_proxy::Session;

fn caller(header: &RequestHeader) -> Option<Caller> {
    Caller::of(&header.method, header.uri.query(), &header.headers)
}

/// Whether a request speaks an RPC protocol, so that refusals must too. On a route that serves RPC plain JSON is
/// Connect's; elsewhere it is plain HTTP.
#[must_use]
pub fn is_call(header: &RequestHeader, ctx: &RequestContext) -> bool {
    let is_rpc = |route: &Route| matches!(route.target, Target::Commands(_) | Target::Rpc(_));
    let on_rpc_route = ctx.route.as_deref().is_some_and(|route| is_rpc(route));
    caller(header).is_some_and(|caller| on_rpc_route || caller.is_unmistakable(&header.headers))
}

/// Writes a refusal in the caller's protocol.
///
/// # Errors
/// Where the client has gone.
pub async fn refuse(session: &mut Session, ctx: &mut RequestContext, refusal: &Refusal) -> Result<()> {
    ctx.note_refusal(refusal);
    let Some(caller) = caller(session.req_header()) else { return Ok(()) };
    let failure = refusal::to_failure(refusal);
    Answer::to_caller(caller).fail(session, refusal::answer_headers(&ctx.facts), &failure).await
}

/// The status of a refusal in the caller's protocol; none where the request is no call. gRPC and what is like it say
/// the rest in trailers.
#[must_use]
pub(crate) fn refusal_status(header: &RequestHeader, refusal: &Refusal) -> Option<u16> {
    failure_status(header, &refusal::to_failure(refusal))
}

/// The same of a failure.
#[must_use]
pub(crate) fn failure_status(header: &RequestHeader, failure: &Failure) -> Option<u16> {
    match caller(header)?.protocol {
        Protocol::Connect => Some(failure.http_status().as_u16()),
        Protocol::ConnectStream | Protocol::Grpc | Protocol::GrpcWeb => Some(200),
    }
}

/// Runs the filters that need no body.
pub(crate) async fn run_head(
    session: &Session,
    ctx: &mut RequestContext,
    route: &Route,
) -> std::result::Result<(), Stop> {
    let outcome = crate::proxy::run_head(session.req_header(), ctx, route).await;
    ctx.chain_took = ctx.started.elapsed();
    outcome
}

/// Reads the one message of a request.
///
/// # Errors
/// Where the client has gone.
pub(crate) async fn read_message(
    session: &mut Session,
    ctx: &mut RequestContext,
    asked: &Asked,
    bytes_max: u64,
) -> Result<std::result::Result<bytes::Bytes, Unread>> {
    if session.req_header().method == http::Method::GET {
        let query = session.req_header().uri.query().unwrap_or_default();
        return Ok(message::of_query(query, usize::try_from(bytes_max).unwrap_or(usize::MAX)).map_err(Unread::Fault));
    }
    let times = &ctx.plan.loaded.config.connections;
    let max = body_bytes_max(asked, bytes_max);
    let body = match crate::proxy::read_body(session, max, times, Reason::MessageTooLarge).await? {
        Ok(body) => body,
        Err(refusal) => return Ok(Err(Unread::Refused(refusal))),
    };
    ctx.bytes_in = body.len() as u64;
    Ok(message_of(asked, body, bytes_max))
}

/// The most bytes of a body whose one message may have so many.
fn body_bytes_max(asked: &Asked, bytes_max: u64) -> u64 {
    let framed_max = bytes_max + crate::wire::frames::HEAD_BYTES as u64;
    if asked.caller.is_text { framed_max.div_ceil(3) * 4 } else { framed_max }
}

/// The one message of a body that is here, and within [`body_bytes_max`].
fn message_of(asked: &Asked, body: bytes::Bytes, bytes_max: u64) -> std::result::Result<bytes::Bytes, Unread> {
    let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
    message::of_body(asked, body, bytes_max).map_err(Unread::Fault)
}

/// Why there is no message.
pub(crate) enum Unread {
    /// The body did not come.
    Refused(Refusal),
    /// It came, and does not hold exactly one.
    Fault(message::MessageFault),
}

/// The largest message of a request, decompressed, in bytes: what the listener takes, or a filter where that is less.
pub(crate) fn message_bytes_max(ctx: &RequestContext) -> u64 {
    let listener = ctx.listener().map_or(0, |listener| listener.body_bytes_max);
    ctx.facts.body_bytes_max.map_or(listener, |filter| filter.min(listener))
}
