//! The proxy: Pingora's hooks, each a few lines that call elsewhere.

mod access;
pub mod attempts;
mod body;
mod chain;
pub mod client_ip;
pub mod context;
mod decide;
mod dial;
mod forward;
mod forwarding;
mod handover;
mod hops;
mod host;
mod last_stop;
mod outlet;
mod publish;
mod recognise;
pub mod reply;
pub(crate) mod trace;
mod waits;

pub(crate) use body::{invite, is_malformed, read_body};
pub(crate) use chain::{Incoming, replayed_max, run_chain, run_head, run_rest};
pub(crate) use decide::{Unrouted, asked, asked_method, find_route, host};
pub(crate) use forward::{needs_length, rewrite, tell_no_body};
pub(crate) use forwarding::vouch;
pub(crate) use hops::{nominated, strip};
pub(crate) use last_stop::last_stop;
pub(crate) use outlet::{Gone, Last, Outlet};
pub(crate) use recognise::recognise;
pub(crate) use waits::may_switch;

use crate::{
    events::Sources,
    listener::{Bindings, Caps},
    plan::Plan,
    telemetry::{access_log::AccessLog, metrics::Metrics},
    vitals::{
        Activity, LastCall, Readiness, Reloads, Upgrades,
        streams::{Exit, Streams},
    },
};
use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use context::RequestContext;
use filters::{
    api::{Clock, Configured as _, Reason},
    body as body_filter,
};
use http::StatusCode;
use pingora_core::{
    Error, ErrorType, Result, modules::http::HttpModules, protocols::Digest, upstreams::peer::HttpPeer,
};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use std::{os::fd::RawFd, sync::Arc};
use tokio::sync::watch;

/// The gateway as Pingora sees it.
#[derive(Clone)]
pub struct Gateway {
    /// The plan that new requests pin.
    pub plan: Arc<ArcSwap<Plan>>,
    /// The requests in flight of each client behind a trusted proxy.
    pub clients: Arc<Caps>,
    /// Which socket is which listener.
    pub bindings: Arc<Bindings>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// One line a request.
    pub access_log: Arc<AccessLog>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// What `/readyz` says.
    pub readiness: Arc<Readiness>,
    /// The sources of events, by name.
    pub events: Arc<ArcSwap<Sources>>,
    /// Who reads the configuration again.
    pub reloads: Arc<Reloads>,
    /// Who starts another process.
    pub upgrades: Arc<Upgrades>,
    /// Whether anybody is calling.
    pub activity: Arc<Activity>,
    /// The streams that are open.
    pub streams: Arc<Streams>,
    /// When calls that go on are told of a stop.
    pub last_call: Arc<LastCall>,
    /// Says that the gateway stops. A drain waits until nobody listens any more.
    pub stop: watch::Sender<bool>,
}

#[async_trait]
impl ProxyHttp for Gateway {
    // Boxed, because Pingora moves it into and out of the futures of every step.
    type CTX = Box<RequestContext>;

    fn new_ctx(&self) -> Self::CTX {
        Box::new(RequestContext::new(self.plan.load_full(), &self.metrics.in_flight, self.clock.unix_ms()))
    }

    // The default adds a compression module, which every request would pass through.
    fn init_downstream_modules(&self, _: &mut HttpModules) {}

    async fn request_filter(&self, session: &mut Session, ctx: &mut Self::CTX) -> Result<bool> {
        self.decide(session, ctx).await
    }

    async fn upstream_peer(&self, session: &mut Session, ctx: &mut Self::CTX) -> Result<Box<HttpPeer>> {
        waits::begin(session, ctx);
        let address = attempts::next(ctx).await?;
        forward::peer(session, ctx, address).map(Box::new)
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Self::CTX,
    ) -> Result<()> {
        // Pingora 0.9.1 writes an empty last piece as a terminating chunk and then terminates the body once
        // more, which the backend reads as the start of another request (pingora#935). HTTP/2 clients send
        // such a piece whenever END_STREAM comes in an empty DATA frame.
        if end_of_stream && body.as_ref().is_some_and(Bytes::is_empty) {
            *body = None;
        }
        ctx.bytes_in += body.as_ref().map_or(0, |bytes| bytes.len() as u64);
        if !ctx.is_upgraded && ctx.bytes_in > ctx.body_bytes_max() {
            let is_filters = ctx.facts.body_bytes_max == Some(ctx.body_bytes_max());
            ctx.facts.stopped_by = is_filters.then_some(body_filter::Config::NAME);
            return Err(Error::new_down(forward::BODY_TOO_LARGE));
        }
        waits::body_has_come(session, ctx, end_of_stream)
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Self::CTX,
    ) -> Result<()> {
        waits::head_is_sent(session, ctx, request);
        match ctx.forward() {
            Some(forward) => {
                forward::rewrite(ctx, forward, request)?;
                if forward::needs_length(request) && session.is_body_empty() {
                    forward::tell_no_body(request);
                }
                Ok(())
            }
            None => Err(Error::new_in(ErrorType::InternalError)),
        }
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        answer: &mut ResponseHeader,
        ctx: &mut Self::CTX,
    ) -> Result<()> {
        ctx.backend_took = ctx.started.elapsed().saturating_sub(ctx.chain_took);
        forward::check_framing(answer)?;
        waits::head_has_come(session, ctx, answer)?;
        if let Some(endpoint) = ctx.track.endpoint.as_ref().filter(|_| ctx.is_answered || ctx.is_upgraded) {
            endpoint.answered(answer.status.as_u16());
        }
        if ctx.is_upgraded {
            ctx.stream = waits::tunnel_end(session)
                .zip(ctx.opening(session.req_header()))
                .map(|(dismissal, opening)| self.streams.open(&opening, Exit::Server(dismissal)));
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        answer: &mut ResponseHeader,
        ctx: &mut Self::CTX,
    ) -> Result<()> {
        reply::pass_on(session, ctx, answer)
    }

    async fn connected_to_upstream(
        &self,
        _: &mut Session,
        is_kept: bool,
        _: &HttpPeer,
        _: RawFd,
        _: Option<&Digest>,
        ctx: &mut Self::CTX,
    ) -> Result<()> {
        attempts::connected(ctx, is_kept);
        Ok(())
    }

    fn fail_to_connect(&self, _: &mut Session, _: &HttpPeer, ctx: &mut Self::CTX, mut error: Box<Error>) -> Box<Error> {
        error.set_retry(attempts::could_not_connect(ctx, &error));
        error
    }

    fn error_while_proxy(
        &self,
        _: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        ctx: &mut Self::CTX,
        is_kept: bool,
    ) -> Box<Error> {
        error.set_retry(attempts::broke_off(session, ctx, &error, is_kept));
        error
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, ctx: &mut Self::CTX) -> FailToProxy {
        let error_code = self.fail(session, error, ctx).await;
        FailToProxy { error_code, can_reuse_downstream: false }
    }

    async fn logging(&self, session: &mut Session, _: Option<&Error>, ctx: &mut Self::CTX) {
        if !ctx.is_handed_over {
            self.finish(session, ctx);
        }
    }

    // What goes wrong with an endpoint is told where that is noticed.
    fn suppress_proxy_warn_log(&self, _: &Session, _: &Self::CTX, _: &Error, _: ProxyWarnLogContext) -> bool {
        true
    }

    fn suppress_error_log(&self, _: &Session, _: &Self::CTX, _: &Error) -> bool {
        true
    }
}

impl Gateway {
    async fn fail(&self, session: &mut Session, error: &Error, ctx: &mut RequestContext) -> u16 {
        let Some((status, refusal)) = forward::refusal_for(error, ctx.is_receiving) else { return 0 };
        ctx.note_refusal(&refusal);
        if refusal.reason == Reason::Internal {
            tracing::error!(%error, "a request failed");
        } else {
            tracing::debug!(%error, "a request could not be proxied");
        }
        // Of an answer that has begun nothing can be taken back: the connection ends short of its length. What
        // follows a 101 is a tunnel's, and no HTTP.
        let is_open = |status: StatusCode| status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS;
        if session.response_written().is_none_or(|written| is_open(written.status)) {
            session.set_keepalive(None);
            if let Err(error) = self.refuse_as(session, ctx, status, &refusal).await {
                tracing::debug!(%error, "the client had gone");
            }
        } else {
            waits::break_off(session);
        }
        status
    }
}
