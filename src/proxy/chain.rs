//! A route's chain, run over a plain request: what stands ahead of the body, the body where a filter needs it, the rest.

use super::{
    body::{content_length, read_body},
    context::RequestContext,
};
use crate::plan::Route;
use bytes::Bytes;
use filters::{
    api::{BodyNeed, Reason, Refusal},
    chain::Stop,
};
use pingora_core::Result;
use pingora_http::RequestHeader;
use pingora_proxy::Session;

/// The most of a body that Pingora 0.9.1 can send to a backend after a filter has read it.
const REPLAYED_BYTES_MAX: u64 = 64 << 10;

/// A request whose head has come, and whose body can be had: of a client, or one that is only tried.
pub(crate) trait Incoming {
    /// Its head.
    fn head(&self) -> &RequestHeader;

    /// Its body, as far as a filter needs it, so that it can still be proxied.
    ///
    /// # Errors
    /// Where the client has gone.
    async fn body(&mut self, ctx: &RequestContext, need: BodyNeed) -> Result<std::result::Result<Bytes, Refusal>>;
}

impl Incoming for Session {
    fn head(&self) -> &RequestHeader {
        self.req_header()
    }

    async fn body(&mut self, ctx: &RequestContext, need: BodyNeed) -> Result<std::result::Result<Bytes, Refusal>> {
        // The body goes to the backend from Pingora's retry buffer, which holds so much and no more.
        self.enable_retry_buffering();
        read_body(self, replayed_max(need), &ctx.plan.loaded.config.connections, Reason::BodyTooLarge).await
    }
}

/// The most of a body that can be read for filters and then be proxied, in bytes.
pub(crate) fn replayed_max(need: BodyNeed) -> u64 {
    need.bytes_max.min(REPLAYED_BYTES_MAX)
}

/// Runs a route's chain over a plain request, and has the body read where a filter needs it.
///
/// # Errors
/// Where the client has gone.
pub(crate) async fn run_chain(
    request: &mut impl Incoming,
    ctx: &mut RequestContext,
    route: &Route,
) -> Result<std::result::Result<(), Stop>> {
    // Ahead of what is refused below: a page can read a refusal only with the CORS headers, and it costs what others do.
    if let Err(stop) = run_head(request.head(), ctx, route).await {
        return Ok(Err(stop));
    }
    let listener_max = ctx.listener().map_or(0, |listener| listener.body_bytes_max);
    if content_length(&request.head().headers).is_some_and(|length| length > listener_max) {
        return Ok(Err(Stop::Refused(Refusal::new(Reason::BodyTooLarge))));
    }
    match route.chain.body_need() {
        None => Ok(run_rest(request.head(), ctx, route).await),
        Some(need) => match Box::pin(request.body(ctx, need)).await? {
            Err(refusal) => {
                if refusal.reason == Reason::BodyTooLarge {
                    ctx.facts.stopped_by = route.chain.body_reader();
                }
                Ok(Err(Stop::Refused(refusal)))
            }
            Ok(body) => Ok(run(request.head(), ctx, route, Some(&body)).await),
        },
    }
}

/// Runs the part of the chain that stands ahead of the body.
pub(crate) async fn run_head(
    header: &RequestHeader,
    ctx: &mut RequestContext,
    route: &Route,
) -> std::result::Result<(), Stop> {
    run(header, ctx, route, None).await
}

/// Runs the part of the chain behind the body, for a request whose body no filter reads.
pub(crate) async fn run_rest(
    header: &RequestHeader,
    ctx: &mut RequestContext,
    route: &Route,
) -> std::result::Result<(), Stop> {
    let outcome = run(header, ctx, route, Some(&Bytes::new())).await;
    ctx.chain_took = ctx.started.elapsed();
    outcome
}

/// Runs the part of the chain that stands ahead of the body, or with it the part behind.
async fn run(
    header: &RequestHeader,
    ctx: &mut RequestContext,
    route: &Route,
    body: Option<&Bytes>,
) -> std::result::Result<(), Stop> {
    let mut exchange = ctx.exchange(header, body);
    match body {
        None => route.chain.run_head(&mut exchange).await,
        Some(_) => route.chain.run_rest(&mut exchange).await,
    }
}
