//! What commands and subscriptions have ahead of them: decode → chain.

use crate::{
    events::hub::Subscriber,
    plan::Route,
    proxy::{Gateway, context::RequestContext, trace},
    rpc::Codec,
    upstream::Track,
    vitals::streams::{Exit, Opening, Streams},
};
use bytes::Bytes;
use filters::{
    api::{
        Clock, CommandState, Exchange, Facts, Head, HeaderEdits, MessageTypes, Reason, Refusal, Session, SessionRecord,
    },
    chain::Stop,
    session::Invalidations,
};
use http::{HeaderMap, HeaderValue, Method};
use pingora_http::RequestHeader;
use prost::Message as _;
use proto::edge::v1::ExecuteCommandRequest;
use std::{
    mem,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

/// A signed request, and what is found on its way.
pub struct SignedRequest<'a> {
    route: &'a Route,
    invalidations: &'a Invalidations,
    path: &'a str,
    header: &'a RequestHeader,
    ctx: &'a RequestContext,
    found: Found,
    /// Where a stream is noted that it opens; nowhere for one that is only tried.
    streams: Option<&'a Arc<Streams>>,
    /// The client's address.
    pub client_ip: IpAddr,
    /// Time.
    pub clock: &'a dyn Clock,
    /// When the client stops waiting.
    pub deadline: Option<tokio::time::Instant>,
}

/// What was found on a request's way, which is the context's to keep.
pub struct Found {
    facts: Facts,
    traceparent: Option<HeaderValue>,
    chain_took: Duration,
    backend_took: Duration,
    track: Track,
}

impl Found {
    /// Gives it back.
    pub fn keep(self, ctx: &mut RequestContext) {
        ctx.facts = self.facts;
        ctx.traceparent = self.traceparent;
        (ctx.chain_took, ctx.backend_took) = (self.chain_took, self.backend_took);
        ctx.track = self.track;
    }
}

impl<'a> SignedRequest<'a> {
    /// A request whose head has passed. What was found by then is taken from its context.
    #[must_use]
    pub fn new(
        gateway: &'a Gateway,
        header: &'a RequestHeader,
        ctx: &'a mut RequestContext,
        route: &'a Route,
        invalidations: &'a Invalidations,
    ) -> Self {
        let streams = Some(&gateway.streams);
        Self { streams, ..Self::tried(gateway.clock.as_ref(), header, ctx, route, invalidations) }
    }

    /// The same of one that opens nothing.
    #[must_use]
    pub fn tried(
        clock: &'a dyn Clock,
        header: &'a RequestHeader,
        ctx: &'a mut RequestContext,
        route: &'a Route,
        invalidations: &'a Invalidations,
    ) -> Self {
        let facts = mem::take(&mut ctx.facts);
        let ctx: &'a RequestContext = ctx;
        Self {
            route,
            invalidations,
            path: ctx.path.as_ref().map_or("/", |path| path.as_str()),
            header,
            ctx,
            found: Found {
                facts,
                traceparent: None,
                chain_took: ctx.chain_took,
                backend_took: ctx.backend_took,
                track: Track::default(),
            },
            streams: None,
            client_ip: ctx.client_ip,
            clock,
            deadline: None,
        }
    }

    /// The client's headers.
    #[must_use]
    pub fn headers(&self) -> &'a HeaderMap {
        &self.header.headers
    }

    /// The filters' changes to what goes to the backend.
    #[must_use]
    pub fn edits(&self) -> &HeaderEdits {
        &self.found.facts.upstream_headers
    }

    /// The trace that the backend is told of: the client's, where it names one, else one that begins here.
    ///
    /// # Errors
    /// Never, but where no header can carry it.
    pub fn traceparent(&mut self) -> Result<HeaderValue, Refusal> {
        let value = match trace::traceparent(self.headers()) {
            Some(value) => value.clone(),
            None => HeaderValue::try_from(trace::begin()).map_err(|_| Refusal::new(Reason::Internal))?,
        };
        self.found.traceparent = Some(value.clone());
        Ok(value)
    }

    /// Takes down which backend was asked, and how long it took.
    pub fn was_sent(&mut self, track: Track, took: Duration) {
        (self.found.track, self.found.backend_took) = (track, took);
    }

    /// What was found.
    #[must_use]
    pub fn into_found(self) -> Found {
        self.found
    }

    /// Decodes the request and runs the rest of the chain over it.
    ///
    /// # Errors
    /// Whatever refuses it.
    pub async fn pass(
        &mut self,
        message: &Bytes,
        codec: Codec,
        message_types: &dyn MessageTypes,
    ) -> Result<(Arc<ExecuteCommandRequest>, Session), Refusal> {
        self.found.facts.command = decode(message, codec);
        self.run_chain(message_types).await?;
        match (self.found.facts.command.decoded().cloned(), self.found.facts.session.clone()) {
            (Some(request), Some(session)) => Ok((request, session)),
            _ => Err(Refusal::new(Reason::Internal)),
        }
    }

    /// Refuses what is done for a session that was ended after it was looked up: nothing is sent for it, and what
    /// was answered to it is not signed.
    ///
    /// # Errors
    /// `SESSION_REVOKED`.
    pub fn refuse_ended(&self, session: &SessionRecord) -> Result<(), Refusal> {
        if self.invalidations.has_ended(session, self.found.facts.session_as_of) {
            return Err(Refusal::new(Reason::SessionRevoked));
        }
        Ok(())
    }

    /// Has the stream noted as one that hangs on the route.
    pub fn hang(&self, subscriber: &mut Subscriber, session: &Session) {
        if let (Some(streams), Some(opening)) = (self.streams, self.ctx.opening(self.header)) {
            let opening = Opening { session: Some(session), ..opening };
            subscriber.hold(streams.open(&opening, Exit::Hub(subscriber.ending())));
        }
    }

    async fn run_chain(&mut self, message_types: &dyn MessageTypes) -> Result<(), Refusal> {
        let started = Instant::now();
        let head = Head {
            method: &Method::POST,
            path: self.path,
            query: None,
            headers: self.headers(),
            client_ip: self.client_ip,
            route: &self.route.name,
            cost: self.route.cost,
        };
        let message_types = Some(message_types);
        let mut exchange = Exchange { head, body: None, message_types, facts: &mut self.found.facts };
        let outcome = self.route.chain.run_rest(&mut exchange).await;
        self.found.chain_took += started.elapsed();
        match outcome {
            Ok(()) => Ok(()),
            Err(Stop::Refused(refusal)) => Err(refusal),
            Err(Stop::Answered(_)) => Err(Refusal::new(Reason::Internal)),
        }
    }
}

/// Both requests have the same fields.
fn decode(message: &Bytes, codec: Codec) -> CommandState {
    let decoded = match codec {
        Codec::Json => proto::json::read(message).map_err(|error| error.to_string()),
        Codec::Proto => ExecuteCommandRequest::decode(message.clone()).map_err(|error| error.to_string()),
    };
    decoded.map_or_else(CommandState::Undecodable, |command| CommandState::Decoded(Arc::new(command)))
}
