//! What the access log is told of a request that reached the proxy.

use super::{Gateway, context::RequestContext};
use crate::telemetry::access_log::{Findings, Head, Line, Outcome};
use filters::api::Reason;
use http::Version;
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use proto::edge::v1::ExecuteCommandRequest;

/// The longest trace id that is logged.
const TRACE_ID_BYTES_MAX: usize = 128;

impl Gateway {
    /// Counts a finished request and writes its access line.
    pub(super) fn finish(&self, session: &Session, ctx: &RequestContext) {
        let total = ctx.started.elapsed();
        let status = session.response_written().map_or(0, |written| written.status.as_u16());
        ctx.metrics(&self.metrics.unrouted).ended(status, total, ctx.refused, &ctx.facts.faults_passed);
        if ctx.listener().is_some_and(|listener| listener.is_admin) || !self.access_log.is_on() {
            return;
        }
        let mut line = Line::begin();
        line.add(&head(session.req_header(), ctx));
        line.add(&findings(ctx));
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
        time_ms: ctx.started_ms,
        request_id: ctx.facts.request_id.as_ref().and_then(|id| id.to_str().ok()).unwrap_or("-"),
        listener: ctx.listener().map_or("-", |listener| &listener.name),
        route: ctx.route.as_ref().map_or("-", |route| &route.name),
        client_ip: ctx.client_ip,
        method: header.method.as_str(),
        path: header.uri.path(),
        protocol: protocol(header),
    }
}

/// What was found out on the request's way.
pub(super) fn findings(ctx: &RequestContext) -> Findings<'_> {
    let command = ctx.facts.command.decoded();
    Findings {
        stopped_by: ctx.facts.stopped_by,
        message_type: command.map(|command| command.message_type.as_str()),
        trace_id: command.and_then(|command| trace_id(command)),
    }
}

fn protocol(header: &RequestHeader) -> &'static str {
    if header.version == Version::HTTP_2 { "HTTP/2.0" } else { "HTTP/1.1" }
}

/// The client's trace id, where it can be logged.
fn trace_id(command: &ExecuteCommandRequest) -> Option<&str> {
    Some(command.trace_id.as_str()).filter(|id| !id.is_empty() && id.len() <= TRACE_ID_BYTES_MAX)
}
