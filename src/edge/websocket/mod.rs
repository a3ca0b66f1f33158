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
    deliver,
    request::SignedRequest,
    subscribe::{events, subscribe},
};
use crate::{
    plan::{Route, subscriptions::WebSocketTarget},
    proxy::{Gateway, Gone, Outlet, context::RequestContext, reply},
    rpc::{message_bytes_max, run_head},
};
use client::{Client, Parting};
use close::Close;
use filters::{api::Reason, chain::Stop};
use pingora_core::Result;
use pingora_http::RequestHeader;
use pingora_proxy::Session;

/// The code with which one is closed that is refused with this reason once it is open.
pub(super) fn close_code(reason: Reason) -> u16 {
    Close::of(reason).code
}

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
    session.write_response_header(Box::new(answer), false).await?;
    let header = session.req_header().clone();
    let Some(outlet) = gateway.hand_over(session, ctx) else { return Ok(()) };
    let client = Client::new(message_bytes_max(ctx), target.idle);
    converse(gateway, &header, ctx, route, target, Conversation { client, outlet }).await;
    Ok(())
}

/// A client and its connection.
struct Conversation {
    client: Client,
    outlet: Outlet,
}

/// From the first message to the stream of events, or to the close where there is none.
async fn converse(
    gateway: &Gateway,
    header: &RequestHeader,
    ctx: &mut RequestContext,
    route: &Route,
    target: &WebSocketTarget,
    Conversation { mut client, mut outlet }: Conversation,
) {
    let (message, codec) = match client.first_message(&mut outlet, target.first_message).await {
        Ok(Ok(first)) => first,
        Ok(Err(parting)) => return client.leave(outlet, parting).await,
        Err(Gone) => return,
    };
    let opened = match events(gateway, Some(&target.events.source)) {
        Ok(events) => {
            let mut request = SignedRequest::new(gateway, header, ctx, route, &target.events.invalidations);
            let opened = subscribe(&mut request, &message, codec, &events).await;
            request.into_found().keep(ctx);
            opened
        }
        Err(refusal) => Err(refusal),
    };
    if let Err(refusal) = &opened {
        ctx.note_refusal(refusal);
    }
    outlet.record().note(ctx);
    match opened {
        Ok(subscriber) => deliver::spawn(outlet, client.stream(codec), subscriber),
        Err(refusal) => client.leave(outlet, Parting::ByUs(Close::of(refusal.reason))).await,
    }
}
