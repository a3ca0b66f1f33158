//! Commands: `edge.v1.Gateway`.

mod backend;
mod execute;

use super::{
    Unread,
    admit::{Shape, admit},
    answer::Answer,
    caller::Codec,
    exchange::deadline,
    message::MessageFault,
    message_bytes_max, read_message, refusal,
};
use crate::{
    plan::{CommandTarget, Route},
    proxy::{Gateway, context::RequestContext, reply},
};
use bytes::Bytes;
use execute::{Command, execute};
use filters::{
    api::{Reason, Refusal},
    chain::Stop,
};
use http::HeaderMap;
use pingora_core::Result;
use pingora_proxy::Session;
use pingora_timeout::timeout;
use prost::Message as _;
use proto::edge::v1::ExecuteCommandResponse;
use std::mem;
use tokio::time::Instant;

const EXECUTE: &str = "/edge.v1.Gateway/ExecuteCommand";
const SUBSCRIBE: &str = "/edge.v1.Gateway/SubscribeEvents";

/// Answers one request to a route that carries commands.
///
/// # Errors
/// Where the client has gone.
pub async fn serve(
    gateway: &Gateway,
    session: &mut Session,
    ctx: &mut RequestContext,
    route: &Route,
    target: &CommandTarget,
) -> Result<()> {
    match super::run_head(session, ctx, route).await {
        Ok(()) => {}
        Err(Stop::Refused(refusal)) => return gateway.refuse(session, ctx, &refusal).await.map(drop),
        Err(Stop::Answered(status)) => return reply::answer(session, ctx, status).await,
    }
    let is_stream = match ctx.path.as_ref().map_or("", |path| path.as_str()) {
        EXECUTE => false,
        SUBSCRIBE => true,
        _ => {
            let unknown = Refusal::because(Reason::RouteUnknown, "no such method");
            return gateway.refuse(session, ctx, &unknown).await.map(drop);
        }
    };
    let asked = match admit(session.req_header(), ctx, Shape { is_unary: !is_stream, takes_get: false }) {
        Ok(asked) => asked,
        Err(refusal) => return gateway.refuse(session, ctx, &refusal).await.map(drop),
    };
    let bytes_max = message_bytes_max(ctx);
    let message = match read_message(session, ctx, &asked, bytes_max).await? {
        Ok(message) => message,
        Err(unread) => return gateway.refuse(session, ctx, &unread.into()).await.map(drop),
    };
    if is_stream {
        let refusal = Refusal::because(Reason::NotServed, "event streams are not served yet");
        return gateway.refuse(session, ctx, &refusal).await.map(drop);
    }
    let due = deadline(ctx.started, asked.timeout, None);
    let mut facts = mem::take(&mut ctx.facts);
    let mut command = Command {
        route,
        target,
        facts: &mut facts,
        path: ctx.path.as_ref().map_or("/", |path| path.as_str()),
        headers: &session.req_header().headers,
        client_ip: ctx.client_ip,
        clock: gateway.clock.as_ref(),
        deadline: due,
        chain_took: ctx.chain_took,
        backend_took: ctx.backend_took,
    };
    let executing = execute(&mut command, &message, asked.caller.codec);
    let outcome = match due {
        None => executing.await,
        Some(due) => timeout(due.saturating_duration_since(Instant::now()), executing)
            .await
            .unwrap_or_else(|_| Err(Refusal::new(Reason::BackendTimeout))),
    };
    let (chain_took, backend_took) = (command.chain_took, command.backend_took);
    (ctx.facts, ctx.chain_took, ctx.backend_took) = (facts, chain_took, backend_took);
    match outcome.and_then(|response| encode(&response, asked.caller.codec)) {
        Ok(encoded) => {
            let headers = refusal::answer_headers(&ctx.facts);
            Answer::to(&asked).whole(session, headers, encoded, &HeaderMap::new()).await
        }
        Err(refusal) => {
            ctx.refused = Some(refusal.reason);
            let failure = refusal::to_failure(&refusal);
            Answer::to(&asked).fail(session, refusal::answer_headers(&ctx.facts), &failure).await
        }
    }
}

fn encode(response: &ExecuteCommandResponse, codec: Codec) -> std::result::Result<Bytes, Refusal> {
    match codec {
        Codec::Proto => Ok(response.encode_to_vec().into()),
        Codec::Json => serde_json::to_vec(response).map(Bytes::from).map_err(|error| {
            tracing::error!(%error, "a response cannot be written as JSON");
            Refusal::new(Reason::Internal)
        }),
    }
}

/// A command's own words for a request that holds no command
impl From<Unread> for Refusal {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Refused(refusal) => refusal,
            Unread::Fault(fault) if fault.is_too_large() => Self::new(Reason::MessageTooLarge),
            Unread::Fault(fault) => invalid(fault),
        }
    }
}

fn invalid(fault: MessageFault) -> Refusal {
    Refusal::because(Reason::EnvelopeInvalid, fault.to_string())
}
