//! Subscriptions over WebSocket (RFC 6455): the first message is the request, each event after it is a message.
//!
//! Whatever refuses the head of the request is answered in HTTP. Once the connection is upgraded, its close says why.

mod allowance;
#[cfg(test)]
mod autobahn;
mod client;
mod close;
mod handshake;
mod socket;

pub(super) use handshake::check_head;

use super::{
    deliver::deliver,
    request::SignedRequest,
    subscribe::{events, subscribe},
};
use crate::{
    plan::{Route, subscriptions::WebSocketTarget},
    proxy::{Gateway, context::RequestContext, reply, tunnel},
    rpc::{message_bytes_max, run_head},
};
use client::{Client, Parting};
use close::Close;
use filters::{api::Reason, chain::Stop};
use pingora_core::{Error, ErrorType, Result};
use pingora_proxy::Session;

/// Answers one request to a route of WebSockets.
///
/// # Errors
/// Where the client has gone.
pub async fn serve(
    gateway: &Gateway,
    session: &mut Session,
    ctx: &mut RequestContext,
    route: &Route,
    target: &WebSocketTarget,
) -> Result<()> {
    match run_head(session, ctx, route).await {
        Ok(()) => {}
        Err(Stop::Refused(refusal)) => return gateway.refuse(session, ctx, &refusal).await.map(drop),
        Err(Stop::Answered(status)) => return reply::answer(session, ctx, status).await,
    }
    let accept = match handshake::check(session, ctx, &target.origins) {
        Ok(accept) => accept,
        Err(refused) => return gateway.refuse_as(session, ctx, refused.status, &refused.refusal).await.map(drop),
    };
    let mut answer = handshake::answer(&accept)?;
    reply::finish(&ctx.facts, &mut answer)?;
    let Some(tunnel) = tunnel(session, ctx) else { return Error::e_explain(ErrorType::InternalError, "no tunnel") };
    session.write_response_header(Box::new(answer), false).await?;
    let mut client = Client::new(tunnel, message_bytes_max(ctx), target.idle);
    let outcome = converse(gateway, session, ctx, route, target, &mut client).await;
    ctx.bytes_in = client.bytes_in();
    ctx.refused = outcome?;
    Ok(())
}

/// From the first message to the close. Answers with why the gateway closed.
async fn converse(
    gateway: &Gateway,
    session: &mut Session,
    ctx: &mut RequestContext,
    route: &Route,
    target: &WebSocketTarget,
    client: &mut Client,
) -> Result<Option<Reason>> {
    let (message, codec) = match client.first_message(session, target.first_message).await? {
        Ok(first) => first,
        Err(parting) => return client.leave(session, parting).await,
    };
    let opened = match events(gateway, Some(&target.events.source)) {
        Ok(events) => {
            let mut request =
                SignedRequest::new(gateway, session.req_header(), ctx, route, &target.events.invalidations);
            let opened = subscribe(&mut request, &message, codec, &events).await;
            request.into_found().keep(ctx);
            opened
        }
        Err(refusal) => Err(refusal),
    };
    drop(message);
    match opened {
        Ok(subscriber) => deliver(session, &mut client.stream(codec), subscriber).await,
        Err(refusal) => client.leave(session, Parting::ByUs(Close::of(refusal.reason))).await,
    }
}
