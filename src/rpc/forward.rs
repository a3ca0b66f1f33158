//! Calls of services that upstreams serve.

use super::{
    Unread,
    admit::{Shape, admit},
    answer::Answer,
    asked, binary,
    caller::{Caller, Protocol},
    exchange::{Exchange, deadline},
    message_bytes_max, read_message, refusal, transcode,
    upload::{Upload, failed},
};
use crate::{
    listener::Dismissal,
    plan::{Route, services::RpcTarget},
    proxy::{Gateway, context::RequestContext, invite, reply, run_rest, vouch},
    upstream::grpc::Requests,
    vitals::streams::Exit,
    wire::Failure,
};
use filters::{
    api::{Reason, Refusal},
    chain::Stop,
};
use http::{HeaderMap, header::HOST};
use pingora_core::Result;
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use std::{sync::Arc, time::Instant};

/// Answers one request to a route that forwards RPCs.
///
/// # Errors
/// Where the client has gone.
pub async fn serve(
    gateway: &Gateway,
    session: &mut Session,
    ctx: &mut RequestContext,
    route: &Route,
    target: &RpcTarget,
) -> Result<()> {
    let passed = match super::run_head(session, ctx, route).await {
        Ok(()) => run_rest(session.req_header(), ctx, route).await,
        stopped => stopped,
    };
    match passed {
        Ok(()) => {}
        Err(Stop::Refused(refusal)) => return gateway.refuse(session, ctx, &refusal).await.map(drop),
        Err(Stop::Answered(status)) => return reply::answer(session, ctx, status).await,
    }
    let path = ctx.path.as_ref().map_or("", |path| path.as_str());
    let Some(method) = target.services.find(path) else {
        return turn_away(session, ctx, &Refusal::because(Reason::RouteUnknown, "no such method")).await;
    };
    let shape = Shape { is_unary: method.is_unary(), takes_get: method.is_unary() && method.has_no_side_effects };
    let asked = match admit(session.req_header(), ctx, shape) {
        Ok(asked) => asked,
        Err(refusal) => return turn_away(session, ctx, &refusal).await,
    };
    let bytes_max = message_bytes_max(ctx);
    let frame_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
    let (mut upload, requests) = if method.client_streams {
        invite(session).await?;
        // How long a stream may be silent the route says, and not what is allowed between two reads of a body.
        session.set_read_timeout(None);
        let (upload, messages) = Upload::new(&asked, method, frame_max);
        (upload, Requests::Stream(messages))
    } else {
        let message = match read_message(session, ctx, &asked, bytes_max).await? {
            Ok(message) => transcode::to_proto(message, asked.caller.codec, &method.input),
            Err(Unread::Refused(refusal)) => return turn_away(session, ctx, &refusal).await,
            Err(Unread::Fault(fault)) => Err(failed(&fault)),
        };
        match message {
            Ok(message) => (Upload::nothing(&asked, method, 0), Requests::One(message)),
            Err(failure) => return fail(session, ctx, &asked, &failure).await,
        }
    };
    let most = method.is_unary().then_some(target.unary_max);
    let dismissal = (!method.is_unary()).then(Arc::<Dismissal>::default);
    let noted = dismissal.as_ref().zip(ctx.opening(session.req_header()));
    let _open = noted.map(|(given, opening)| gateway.streams.open(&opening, Exit::Server(Arc::clone(given))));
    let exchange = Exchange {
        target,
        method,
        asked: &asked,
        given: deadline(ctx.started, asked.timeout, None),
        deadline: deadline(ctx.started, asked.timeout, most),
        facts: &ctx.facts,
        last_call: &gateway.last_call,
        dismissal: dismissal.as_deref(),
        turn: fastrand::f32(),
    };
    let metadata = metadata(session.req_header(), ctx);
    let started = Instant::now();
    let outcome = exchange.run(session, &mut upload, metadata, requests).await;
    ctx.backend_took = started.elapsed();
    ctx.bytes_in += upload.bytes_in;
    ctx.refused = outcome?;
    Ok(())
}

/// Refuses what is no call of the service, in the protocol's own words alone: clients of the service know no others.
async fn turn_away(session: &mut Session, ctx: &mut RequestContext, refusal: &Refusal) -> Result<()> {
    reply::ensure_request_id(ctx);
    ctx.note_refusal(refusal);
    // To Connect another verb than its two is no call at all.
    let is_no_call = |caller: &Caller| caller.protocol == Protocol::Connect && refusal.allow.is_some();
    let Some(caller) = super::caller(session.req_header()).filter(|caller| !is_no_call(caller)) else {
        return reply::refuse(session, ctx, refusal.reason.http_status(), refusal).await;
    };
    let failure = Failure { details: Vec::new(), ..refusal::to_failure(refusal) };
    Answer::to_caller(caller).fail(session, refusal::answer_headers(&ctx.facts), &failure).await
}

async fn fail(session: &mut Session, ctx: &mut RequestContext, asked: &asked::Asked, failure: &Failure) -> Result<()> {
    ctx.refused = failure.reason;
    Answer::to(asked).fail(session, refusal::answer_headers(&ctx.facts), failure).await
}

/// The caller's metadata, with what the gateway vouches for and the filters' edits.
pub(crate) fn metadata(request: &RequestHeader, ctx: &RequestContext) -> HeaderMap {
    let mut headers = request.headers.clone();
    asked::strip(&mut headers);
    binary::split(&mut headers);
    vouch(ctx, &request.uri, &mut headers);
    headers.remove(HOST);
    ctx.facts.upstream_headers.apply_to_request(&mut headers);
    headers
}
