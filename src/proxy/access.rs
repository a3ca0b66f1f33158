//! What the access log is told of a request that reached the proxy.

use super::{Gateway, context::RequestContext, decide::host, trace};
use crate::telemetry::{
    access_log::{Findings, Head, Outcome, Sent, session_hash},
    timestamp::Timestamp,
};
use crate::upstream::FaultKind;
use filters::api::Reason;
use http::{HeaderMap, HeaderName, Version, header::USER_AGENT};
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use std::borrow::Cow;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest id that is logged.
const ID_BYTES_MAX: usize = 128;
/// The longest host and user agent that are logged whole.
const TEXT_BYTES_MAX: usize = 256;

impl Gateway {
    /// Counts a finished request and writes its access line.
    pub(super) fn finish(&self, session: &Session, ctx: &RequestContext) {
        let total = ctx.started.elapsed();
        let status = session.response_written().map_or(0, |written| written.status.as_u16());
        ctx.metrics(&self.metrics.unrouted).ended(status, total, ctx.refused, &ctx.facts.faults_passed);
        if ctx.listener().is_some_and(|listener| listener.is_admin) || !self.access_log.is_on() {
            return;
        }
        let mut line = self.access_log.begin();
        line.add(&head(session.req_header(), ctx));
        line.add(&findings(Some(&session.req_header().headers), ctx));
        if let Some(sent) = sent(ctx) {
            line.add(&sent);
        }
        line.add(&Outcome {
            status,
            reason: ctx.refused.map(Reason::as_str),
            bytes_in: ctx.bytes_in,
            bytes_out: session.body_bytes_sent() as u64,
            chain: ctx.chain_took,
            backend: ctx.backend_took,
            total,
        });
        self.access_log.write(line);
    }
}

/// Who asked what.
pub(super) fn head<'a>(header: &'a RequestHeader, ctx: &'a RequestContext) -> Head<'a> {
    Head {
        time: Timestamp(ctx.started_ms),
        request_id: ctx.facts.request_id.as_ref().and_then(|id| id.to_str().ok()).unwrap_or("-"),
        listener: ctx.listener().map_or("-", |listener| &listener.name),
        route: ctx.route.as_ref().map_or("-", |route| &route.name),
        client_ip: ctx.client_ip,
        host: Some(cut(host(&header.uri, &header.headers).as_bytes())).filter(|host| !host.is_empty()),
        method: header.method.as_str(),
        path: header.uri.path(),
        protocol: protocol(header),
        user_agent: header.headers.get(USER_AGENT).map(|value| cut(value.as_bytes())),
        trace_id: ctx.traceparent.as_ref().or_else(|| trace::traceparent(&header.headers)).and_then(trace::trace_id),
    }
}

/// What was found out on the request's way. What only headers say is left out where there are none any more.
pub(super) fn findings<'a>(headers: Option<&'a HeaderMap>, ctx: &'a RequestContext) -> Findings<'a> {
    let command = ctx.facts.command.decoded();
    let brought = || headers?.get(X_REQUEST_ID)?.to_str().ok();
    Findings {
        stopped_by: ctx.facts.stopped_by,
        fault: ctx.fault.as_ref().map(|fault| fault.kind),
        fault_detail: ctx.fault.as_ref().map(|fault| fault.what.as_str()),
        message_type: command.map(|command| command.message_type.as_str()),
        client_request_id: command.map(|command| command.request_id.as_str()).or_else(brought).filter(is_loggable),
        client_trace_id: command.map(|command| command.trace_id.as_str()).filter(is_loggable),
        session: command.map(|command| session_hash(&command.device_session_id)),
        user: ctx.facts.session.as_ref().map(|session| session.user_id.as_str()),
    }
}

/// Where it was sent, if it was.
fn sent(ctx: &RequestContext) -> Option<Sent<'_>> {
    let endpoint = ctx.track.endpoint.as_deref()?;
    Some(Sent {
        upstream: endpoint.upstream(),
        endpoint: endpoint.authority(),
        tries: ctx.track.tries,
        // Where a refusal has brought its own word, that stands.
        fault: ctx.track.fault.filter(|_| ctx.fault.is_none()).map(FaultKind::as_str),
    })
}

fn protocol(header: &RequestHeader) -> &'static str {
    match header.version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP/1.1",
    }
}

fn is_loggable(id: &&str) -> bool {
    (1..=ID_BYTES_MAX).contains(&id.len())
}

/// As much of a header's value as is logged.
fn cut(value: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(value.get(..TEXT_BYTES_MAX).unwrap_or(value))
}
