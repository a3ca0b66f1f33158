//! Signed requests that are only tried: the same checks in the same order, without a connection.

use super::{
    execute::execute,
    request::SignedRequest,
    rpc::{EXECUTE, SUBSCRIBE},
    sse,
    subscribe::Subscribing,
    websocket,
};
use crate::{
    listener::head::HeadRefusal,
    plan::{
        CommandTarget, Route,
        subscriptions::{EventTarget, WebSocketTarget},
    },
    proxy::{self, context::RequestContext},
    rpc::{Codec, Shape, admit, message_bytes_max, message_of},
};
use bytes::Bytes;
use filters::{
    api::{Clock, Reason, Refusal},
    chain::Stop,
};
use http::Version;
use pingora_http::RequestHeader;
use proto::edge::v1::ExecuteCommandResponse;

/// What a signed request comes to.
#[derive(Debug)]
pub enum Tried {
    /// A signed answer.
    Answered(ExecuteCommandResponse),
    /// A stream of events.
    Opened,
}

/// Tries a request to a route that carries commands.
///
/// # Errors
/// What stops it.
pub async fn rpc(
    (header, body): (&RequestHeader, Bytes),
    ctx: &mut RequestContext,
    route: &Route,
    target: &CommandTarget,
    clock: &dyn Clock,
) -> Result<Tried, Stop> {
    proxy::run_head(header, ctx, route).await?;
    let refuse = |reason, what| Err(Stop::Refused(Refusal::because(reason, what)));
    let is_stream = match ctx.path.as_ref().map_or("", |path| path.as_str()) {
        EXECUTE => false,
        SUBSCRIBE => true,
        _ => return refuse(Reason::RouteUnknown, "no such method"),
    };
    let asked = admit(header, ctx, Shape { is_unary: !is_stream, takes_get: false }).map_err(Stop::Refused)?;
    let message = message_of(&asked, body, message_bytes_max(ctx)).map_err(|unread| Stop::Refused(unread.into()))?;
    if is_stream && target.events.is_none() {
        return refuse(Reason::NotServed, "no events are served here");
    }
    let mut request = SignedRequest::tried(clock, header, ctx, route, &target.invalidations);
    let codec = asked.caller.codec;
    let outcome = match is_stream {
        true => request.pass(&message, codec, &Subscribing).await.map(|_| Tried::Opened),
        false => execute(&mut request, target, &message, codec).await.map(Tried::Answered),
    };
    request.into_found().keep(ctx);
    outcome.map_err(Stop::Refused)
}

/// Tries a subscription as server-sent events.
///
/// # Errors
/// What stops it.
pub async fn sse(
    (header, body): (&RequestHeader, Bytes),
    ctx: &mut RequestContext,
    route: &Route,
    target: &EventTarget,
    clock: &dyn Clock,
) -> Result<Tried, Stop> {
    proxy::run_head(header, ctx, route).await?;
    let codec = sse::admit(header, ctx).map_err(Stop::Refused)?;
    if body.len() as u64 > message_bytes_max(ctx) {
        return Err(Stop::Refused(Refusal::new(Reason::BodyTooLarge)));
    }
    subscribe((header, body), codec, ctx, route, target, clock).await
}

/// Tries a subscription over WebSocket. The body is its first message; without one, its head alone is tried.
///
/// # Errors
/// What stops it.
pub async fn websocket(
    (header, body): (&RequestHeader, Bytes),
    ctx: &mut RequestContext,
    route: &Route,
    target: &WebSocketTarget,
    clock: &dyn Clock,
) -> Result<Option<Tried>, Refused> {
    proxy::run_head(header, ctx, route).await?;
    let may_switch = header.version == Version::HTTP_11;
    websocket::check_head(header, ctx, &target.origins, may_switch, false)?;
    if body.is_empty() {
        return Ok(None);
    }
    let codec = if body.first() == Some(&b'{') { Codec::Json } else { Codec::Proto };
    Ok(subscribe((header, body), codec, ctx, route, &target.events, clock).await.map(Some)?)
}

/// What stops a subscription over WebSocket.
#[derive(Debug)]
pub enum Refused {
    /// Its handshake.
    Head(HeadRefusal),
    /// A filter, or its first message.
    Stop(Stop),
}

impl From<HeadRefusal> for Refused {
    fn from(refusal: HeadRefusal) -> Self {
        Self::Head(refusal)
    }
}

impl From<Stop> for Refused {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

async fn subscribe(
    (header, body): (&RequestHeader, Bytes),
    codec: Codec,
    ctx: &mut RequestContext,
    route: &Route,
    target: &EventTarget,
    clock: &dyn Clock,
) -> Result<Tried, Stop> {
    let mut request = SignedRequest::tried(clock, header, ctx, route, &target.invalidations);
    let passed = request.pass(&body, codec, &Subscribing).await;
    request.into_found().keep(ctx);
    passed.map(|_| Tried::Opened).map_err(Stop::Refused)
}
