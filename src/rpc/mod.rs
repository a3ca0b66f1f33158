//! RPC: `edge.v1.Gateway` in Connect, gRPC and gRPC-Web.
//!
//! The framing of the three protocols is connectrpc's, mounted in-process; nothing outside this folder names
//! it. The text variant of gRPC-Web and the refusals are ours.

mod answer;
mod backend;
mod caller;
mod execute;
mod frame;
mod native;
mod refusal;
mod text;

use crate::{
    plan::{CommandTarget, Route},
    proxy::{Gateway, context::RequestContext, reply},
};
use bytes::Bytes;
use caller::Caller;
use filters::{
    api::{Exchange, Reason, Refusal},
    chain::Stop,
};
use http::{Method, Version};
use native::{Call, Ended, Slot};
use pingora_core::Result;
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use std::{mem, sync::Arc};

/// Whether a request speaks an RPC protocol, so that refusals must too. On a route that carries commands plain
/// JSON is Connect's; elsewhere it is plain HTTP.
#[must_use]
pub fn is_call(header: &RequestHeader, ctx: &RequestContext) -> bool {
    let on_rpc_route = ctx.route.as_ref().is_some_and(|route| matches!(route.target, crate::plan::Target::Commands(_)));
    Caller::of(&header.headers).is_some_and(|caller| on_rpc_route || caller.is_unmistakable(&header.headers))
}

/// Writes a refusal in the caller's protocol.
///
/// # Errors
/// Where the client has gone.
pub async fn refuse(session: &mut Session, ctx: &mut RequestContext, refusal: &Refusal) -> Result<()> {
    ctx.refused = Some(refusal.reason);
    let headers = &session.req_header().headers;
    let caller = Caller::of(headers);
    let response = refusal::to_error(refusal, &ctx.facts).into_http_response(&caller::binary(headers));
    answer::write(session, caller, response).await
}

/// Answers one request to a route that carries commands.
///
/// # Errors
/// Where the client has gone.
pub async fn serve(
    gateway: &Gateway,
    session: &mut Session,
    ctx: &mut RequestContext,
    route: &Arc<Route>,
    target: &Arc<CommandTarget>,
) -> Result<()> {
    let ahead = run_head(session, ctx, route).await;
    ctx.chain_took = ctx.started.elapsed();
    match ahead {
        Ok(()) => {}
        Err(Stop::Refused(refusal)) => return gateway.refuse(session, ctx, &refusal).await.map(drop),
        Err(Stop::Answered(status)) => return reply::answer(session, ctx, status).await,
    }
    let caller = match admit(session.req_header(), ctx) {
        Ok(caller) => caller,
        Err(refusal) => return gateway.refuse(session, ctx, &refusal).await.map(drop),
    };
    let body = match body(session, ctx, caller).await? {
        Ok(body) => body,
        Err(refusal) => return gateway.refuse(session, ctx, &refusal).await.map(drop),
    };
    let slot = Slot::new(Call::new(ctx, route, target, Arc::clone(&gateway.clock)));
    let response = native::call(request(session.req_header(), ctx, body), &slot, body_bytes_max(ctx)).await;
    let response = match slot.end() {
        Ended::Whole(call) => {
            call.give_back(ctx);
            response
        }
        // connectrpc answered by itself: before the call, or because the client's own deadline was over.
        Ended::Early { was_called } => {
            let (response, reason) = refusal::explained(response, was_called, ctx, &session.req_header().headers).await;
            ctx.refused = reason;
            response
        }
    };
    answer::write(session, Some(caller), response).await
}

async fn run_head(session: &Session, ctx: &mut RequestContext, route: &Route) -> std::result::Result<(), Stop> {
    let mut facts = mem::take(&mut ctx.facts);
    let header = session.req_header();
    let head = ctx.head(&header.method, header.uri.query(), &header.headers);
    let outcome =
        route.chain.run_head(&mut Exchange { head, body: None, message_types: None, facts: &mut facts }).await;
    ctx.facts = facts;
    outcome
}

/// The caller, where the request is an RPC that can be read here.
fn admit(header: &RequestHeader, ctx: &RequestContext) -> std::result::Result<Caller, Refusal> {
    if header.method != Method::POST {
        let refusal = Refusal::because(Reason::MethodNotAllowed, "commands are sent by POST");
        return Err(Refusal { allow: Some("POST".to_owned()), ..refusal });
    }
    let caller = Caller::of(&header.headers).ok_or_else(|| {
        let served =
            "send application/proto, application/json, application/grpc or application/grpc-web, each +proto or +json";
        Refusal::because(Reason::MediaTypeUnsupported, served)
    })?;
    if caller == Caller::Grpc && header.version != Version::HTTP_2 {
        return Err(Refusal::because(Reason::MediaTypeUnsupported, "gRPC needs HTTP/2"));
    }
    let path = ctx.path.as_ref().map_or("", |path| path.as_str());
    if !native::is_served(path) {
        return Err(Refusal::because(Reason::RouteUnknown, "no such method"));
    }
    Ok(caller)
}

fn body_bytes_max(ctx: &RequestContext) -> u64 {
    ctx.listener().map_or(0, |listener| listener.body_bytes_max)
}

async fn body(
    session: &mut Session,
    ctx: &mut RequestContext,
    caller: Caller,
) -> Result<std::result::Result<Bytes, Refusal>> {
    let is_encoded = match frame::is_encoded(caller, &session.req_header().headers) {
        Ok(is_encoded) => is_encoded,
        Err(refusal) => {
            let (name, encodings) = frame::accepted(caller);
            ctx.facts.downstream_headers.set(name, encodings);
            return Ok(Err(refusal));
        }
    };
    let message_max = body_bytes_max(ctx);
    let framed_max = message_max + frame::HEAD_BYTES as u64;
    let max = if caller.is_text() { framed_max.div_ceil(3) * 4 } else { framed_max };
    let times = &ctx.plan.loaded.config.connections;
    let body = match crate::proxy::read_body(session, max, times, Reason::MessageTooLarge).await? {
        Ok(body) => body,
        Err(refusal) => return Ok(Err(refusal)),
    };
    ctx.bytes_in = body.len() as u64;
    let body = match caller.is_text().then(|| text::decode(&body)) {
        None => body,
        Some(Ok(decoded)) => decoded.into(),
        Some(Err(_)) => return Ok(Err(Refusal::because(Reason::EnvelopeInvalid, "the body is no base64"))),
    };
    Ok(frame::check(caller, is_encoded, &body, message_max).map(|()| body))
}

fn request(header: &RequestHeader, ctx: &RequestContext, body: Bytes) -> http::Request<http_body_util::Full<Bytes>> {
    let mut request = http::Request::new(http_body_util::Full::new(body));
    *request.method_mut() = Method::POST;
    let path = ctx.path.as_ref().map_or("/", |path| path.encoded());
    *request.uri_mut() = path.parse().unwrap_or_default();
    *request.headers_mut() = caller::binary(&header.headers).into_owned();
    request
}

/// A response of connectrpc, before it is written.
type Response = http::Response<connectrpc::ConnectRpcBody>;
