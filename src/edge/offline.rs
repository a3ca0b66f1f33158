//! Signed requests that are only tried: the same checks in the same order, without a connection.

pub use super::backend::carried;

use super::{
    execute::execute,
    request::SignedRequest,
    rpc::{EXECUTE, SUBSCRIBE},
    sse,
    subscribe::{Subscribing, options},
    websocket,
};
use crate::{
    listener::head::HeadRefusal,
    plan::{
        CommandTarget, Route,
        subscriptions::{EventTarget, WebSocketTarget},
    },
    proxy::{self, context::RequestContext},
    rpc::{Codec, Shape, admit, message_bytes_max, offline as rpc_offline},
};
use bytes::Bytes;
use filters::{
    api::{Clock, Reason, Refusal},
    chain::Stop,
};
use pingora_http::RequestHeader;
use proto::edge::v1::{ExecuteCommandResponse, SubscribeOptions};
use rpc_offline::Read;
use tungstenite::protocol::frame::coding::CloseCode;

/// What a signed request comes to.
#[derive(Debug)]
pub enum Tried {
    /// A signed answer.
    Answered(ExecuteCommandResponse),
    /// A stream of events.
    Opened(SubscribeOptions),
}

/// Tries a request to a route that carries commands.
///
/// # Errors
/// What stops it.
pub async fn rpc(
    (header, read): (&RequestHeader, &Read<'_>),
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
    let message = rpc_offline::message(header, &asked, read, message_bytes_max(ctx));
    let message = message.map_err(|unread| Stop::Refused(unread.into()))?;
    if is_stream && target.events.is_none() {
        return refuse(Reason::NotServed, "no events are served here");
    }
    let mut request = SignedRequest::tried(clock, header, ctx, route, &target.invalidations);
    let codec = asked.caller.codec;
    let outcome = match is_stream {
        true => open(&mut request, &message, codec).await,
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
    (header, read): (&RequestHeader, &Read<'_>),
    ctx: &mut RequestContext,
    route: &Route,
    target: &EventTarget,
    clock: &dyn Clock,
) -> Result<Tried, Stop> {
    proxy::run_head(header, ctx, route).await?;
    let codec = sse::admit(header, ctx).map_err(Stop::Refused)?;
    let message = read(message_bytes_max(ctx), Reason::BodyTooLarge).map_err(Stop::Refused)?;
    subscribe((header, message), codec, ctx, route, target, clock).await
}

/// A request for a WebSocket.
pub struct Handshake<'a> {
    /// Its head.
    pub header: &'a RequestHeader,
    /// Whether its connection may switch to another protocol.
    pub may_switch: bool,
    /// Whether it brings a body.
    pub has_body: bool,
}

/// Tries a subscription over WebSocket: its handshake, and its first message where there is one.
///
/// # Errors
/// What stops it.
pub async fn websocket(
    (handshake, message): (Handshake<'_>, Bytes),
    ctx: &mut RequestContext,
    route: &Route,
    target: &WebSocketTarget,
    clock: &dyn Clock,
) -> Result<Option<Tried>, Refused> {
    let Handshake { header, may_switch, has_body } = handshake;
    proxy::run_head(header, ctx, route).await?;
    websocket::check_head(header, ctx, &target.origins, may_switch, has_body)?;
    if message.is_empty() {
        return Ok(None);
    }
    if message.len() as u64 > message_bytes_max(ctx) {
        return Err(Refused::Message(Refusal::new(Reason::MessageTooLarge), CloseCode::Size.into()));
    }
    let codec = if message.trim_ascii_start().first() == Some(&b'{') { Codec::Json } else { Codec::Proto };
    match subscribe((header, message), codec, ctx, route, &target.events, clock).await {
        Ok(tried) => Ok(Some(tried)),
        Err(Stop::Refused(refusal)) => {
            let code = websocket::close_code(refusal.reason);
            Err(Refused::Message(refusal, code))
        }
        Err(stop) => Err(stop.into()),
    }
}

/// What stops a subscription over WebSocket.
#[derive(Debug)]
pub enum Refused {
    /// Its handshake.
    Head(HeadRefusal),
    /// A filter ahead of the handshake.
    Stop(Stop),
    /// Its first message: the WebSocket is closed with this code.
    Message(Refusal, u16),
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
    (header, message): (&RequestHeader, Bytes),
    codec: Codec,
    ctx: &mut RequestContext,
    route: &Route,
    target: &EventTarget,
    clock: &dyn Clock,
) -> Result<Tried, Stop> {
    let mut request = SignedRequest::tried(clock, header, ctx, route, &target.invalidations);
    let opened = open(&mut request, &message, codec).await;
    request.into_found().keep(ctx);
    opened.map_err(Stop::Refused)
}

async fn open(request: &mut SignedRequest<'_>, message: &Bytes, codec: Codec) -> Result<Tried, Refusal> {
    let (asked, _) = request.pass(message, codec, &Subscribing).await?;
    options(&asked).map(|(options, _)| Tried::Opened(options))
}
