//! An accepted event stream leaves the proxy: Pingora's session, its future and the request's context end here, and a
//! small task of the sidecar goes on with the client's side and a record for the log.

use super::{
    Gateway, access,
    context::{InFlight, OnRoute, RequestContext},
    outlet::{Framing, Line, Outlet},
};
use crate::{
    listener::{self, GuardedStream, Serving},
    telemetry::access_log::{AccessLog, Kept, Outcome},
};
use filters::api::Reason;
use http::{StatusCode, Version};
use pingora_core::{protocols::http::ServerSession, server::ShutdownWatch};
use pingora_proxy::Session;
use std::{
    io::Cursor,
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

/// Who waits for a stream's end: its connection, and a drain.
pub struct Attendance {
    _serving: Option<Serving>,
    _stop: ShutdownWatch,
}

/// What the log and the metrics say of a stream once it is over. However that comes, they do when this is dropped.
pub struct Record {
    /// Why the gateway ended it.
    pub refused: Option<Reason>,
    /// Bytes that came.
    pub bytes_in: u64,
    /// Bytes that were sent, as far as they were begun.
    pub bytes_out: u64,
    access_log: Arc<AccessLog>,
    route: OnRoute,
    head: Kept,
    findings: Kept,
    status: u16,
    faults_passed: Vec<&'static str>,
    started: Instant,
    chain_took: Duration,
    _in_flight: Option<InFlight>,
}

impl Gateway {
    /// Takes the client's side of a request whose answer has begun out of Pingora's session. What is left there is at
    /// its end, and nothing more is written, counted or logged for it. None where there is no route or no connection.
    pub(crate) fn hand_over(&self, session: &mut Session, ctx: &mut RequestContext) -> Option<Outlet> {
        let status = session.response_written()?.status;
        let framing = match (status, session.req_header().version) {
            (StatusCode::SWITCHING_PROTOCOLS, _) => Framing::Switched,
            (_, Version::HTTP_10) => Framing::UntilClosed,
            _ => Framing::Chunked,
        };
        let record = Record::new(self, session, ctx, status.as_u16())?;
        let attendance = Attendance { _serving: listener::serving(), _stop: self.stop.subscribe() };
        let write = ctx.plan.loaded.config.connections.write.get();
        let exit = session.as_downstream_mut().as_custom_mut().and_then(|stream| listener::take_exit(stream.as_mut()));
        let nobody = ServerSession::new_http1(Box::new(Cursor::new(Vec::new())));
        ctx.is_handed_over = true;
        let line = match mem::replace(session.as_downstream_mut(), nobody) {
            ServerSession::H1(session) => {
                let stream = session.into_inner().into_any().downcast::<GuardedStream>().ok()?;
                Line::http1(stream, framing)
            }
            ServerSession::Custom(_) => Line::http2(exit?),
            ServerSession::H2(_) | ServerSession::Subrequest(_) => return None,
        };
        Some(Outlet::new(line, record, write, attendance))
    }
}

impl Record {
    fn new(gateway: &Gateway, session: &Session, ctx: &mut RequestContext, status: u16) -> Option<Self> {
        Some(Self {
            refused: None,
            bytes_in: ctx.bytes_in,
            bytes_out: 0,
            access_log: Arc::clone(&gateway.access_log),
            route: OnRoute::from(Arc::clone(ctx.route.as_ref()?)),
            head: gateway.access_log.keep(&access::head(session.req_header(), ctx)),
            findings: gateway.access_log.keep(&access::findings(None, ctx)),
            status,
            faults_passed: ctx.facts.faults_passed.clone(),
            started: ctx.started,
            chain_took: ctx.chain_took,
            _in_flight: ctx.in_flight.take(),
        })
    }

    /// Takes down what the chain has found since.
    pub fn note(&mut self, ctx: &RequestContext) {
        self.findings = self.access_log.keep(&access::findings(None, ctx));
        self.faults_passed.clone_from(&ctx.facts.faults_passed);
        self.chain_took = ctx.chain_took;
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let total = self.started.elapsed();
        self.route.metrics.ended(self.status, total, self.refused, &self.faults_passed);
        if !self.access_log.is_on() {
            return;
        }
        let mut line = self.access_log.begin();
        line.add_kept(&self.head);
        line.add_kept(&self.findings);
        line.add(&Outcome {
            status: self.status,
            reason: self.refused.map(Reason::as_str),
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            chain: self.chain_took,
            backend: Duration::ZERO,
            total,
        });
        self.access_log.write(line);
    }
}
