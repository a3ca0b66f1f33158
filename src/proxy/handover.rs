//! An accepted event stream leaves the proxy: Pingora's session, its future and the request's context end here, and a
//! small task of the sidecar goes on with the client's side and a record for the log.

use super::{
    Gateway,
    context::{InFlight, OnRoute, RequestContext},
    decide::{micros, protocol, trace_id},
    outlet::{Framing, Line, Outlet},
};
use crate::{
    listener::{self, GuardedStream, Serving},
    telemetry::access_log::{AccessLog, Entry},
};
use filters::api::Reason;
use http::{Method, StatusCode, Version};
use pingora_core::{protocols::http::ServerSession, server::ShutdownWatch};
use pingora_proxy::Session;
use std::{
    io::Cursor,
    mem,
    net::IpAddr,
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
    listener: Box<str>,
    request_id: Box<str>,
    client_ip: IpAddr,
    method: Method,
    path: Box<str>,
    protocol: &'static str,
    status: u16,
    stopped_by: Option<&'static str>,
    message_type: Option<Box<str>>,
    trace_id: Option<Box<str>>,
    faults_passed: Vec<&'static str>,
    started: Instant,
    started_ms: i64,
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
        let nobody = ServerSession::new_http1(Box::new(Cursor::new(Vec::new())));
        ctx.is_handed_over = true;
        let line = match mem::replace(session.as_downstream_mut(), nobody) {
            ServerSession::H1(session) => {
                let stream = session.into_inner().into_any().downcast::<GuardedStream>().ok()?;
                Line::http1(stream, framing)
            }
            ServerSession::H2(mut session) => Line::http2(session.take_response_body_writer()?),
            ServerSession::Subrequest(_) | ServerSession::Custom(_) => return None,
        };
        Some(Outlet::new(line, record, write, attendance))
    }
}

impl Record {
    fn new(gateway: &Gateway, session: &Session, ctx: &mut RequestContext, status: u16) -> Option<Self> {
        let header = session.req_header();
        let route = OnRoute::from(Arc::clone(ctx.route.as_ref()?));
        let request_id = ctx.facts.request_id.as_ref().and_then(|id| id.to_str().ok()).unwrap_or("-");
        let mut record = Self {
            refused: None,
            bytes_in: ctx.bytes_in,
            bytes_out: 0,
            access_log: Arc::clone(&gateway.access_log),
            route,
            listener: ctx.listener().map_or("-", |listener| &listener.name).into(),
            request_id: request_id.into(),
            client_ip: ctx.client_ip,
            method: header.method.clone(),
            path: header.uri.path().into(),
            protocol: protocol(header),
            status,
            stopped_by: None,
            message_type: None,
            trace_id: None,
            faults_passed: Vec::new(),
            started: ctx.started,
            started_ms: ctx.started_ms,
            chain_took: ctx.chain_took,
            _in_flight: ctx.in_flight.take(),
        };
        record.note(ctx);
        Some(record)
    }

    /// Takes down what the chain has found since.
    pub fn note(&mut self, ctx: &RequestContext) {
        let command = ctx.facts.command.decoded();
        self.message_type = command.map(|command| command.message_type.as_str().into());
        self.trace_id = command.and_then(|command| trace_id(command)).map(Into::into);
        self.stopped_by = ctx.facts.stopped_by;
        self.faults_passed.clone_from(&ctx.facts.faults_passed);
        self.chain_took = ctx.chain_took;
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let took = self.started.elapsed();
        self.route.metrics.ended(self.status, took, self.refused, &self.faults_passed);
        if !self.access_log.is_on() {
            return;
        }
        self.access_log.write(&Entry {
            event: "access",
            time_ms: self.started_ms,
            request_id: &self.request_id,
            listener: &self.listener,
            route: &self.route.name,
            client_ip: self.client_ip,
            method: self.method.as_str(),
            path: &self.path,
            protocol: self.protocol,
            status: self.status,
            reason: self.refused.map(Reason::as_str),
            stopped_by: self.stopped_by,
            message_type: self.message_type.as_deref(),
            trace_id: self.trace_id.as_deref(),
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            chain_us: micros(self.chain_took),
            backend_us: 0,
            total_us: micros(took),
        });
    }
}
