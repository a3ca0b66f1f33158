//! What is kept of one request between Pingora's hooks.

use super::{attempts::Attempts, decide::host, forwarding::Told};
use crate::{
    listener::Slot,
    plan::{Forward, Plan, PlannedListener, Route, Target, path::CanonicalPath},
    telemetry::metrics::RouteMetrics,
    upstream::Track,
    vitals::streams::{OpenStream, Opening},
};
use bytes::Bytes;
use filters::api::{Exchange, Facts, Fault, Head, Reason, Refusal};
use http::{HeaderValue, Version, request::Parts};
use prometheus::IntGauge;
use std::{
    net::{IpAddr, Ipv4Addr},
    ops::Deref,
    sync::Arc,
    time::{Duration, Instant},
};

/// One request, from its head to its access line.
pub struct RequestContext {
    /// The plan that decides it, pinned for its whole life.
    pub plan: Arc<Plan>,
    /// Index of the listener that it came in on.
    pub listener: usize,
    /// The route, once found.
    pub route: Option<OnRoute>,
    /// The canonical path, once found.
    pub path: Option<CanonicalPath>,
    /// The client's address.
    pub client_ip: IpAddr,
    /// What a trusted proxy says of the request that the client sent.
    pub told: Option<Box<Told>>,
    /// Whether the client is known, and comes through a trusted proxy.
    pub is_behind_proxy: bool,
    /// The version of HTTP that it came in.
    pub received: Version,
    /// Whether this process has forwarded it already.
    pub goes_round: bool,
    /// Whether the client brought headers that say where its request comes from.
    pub brought_forwarding: bool,
    /// Whether it came over TLS.
    pub is_tls: bool,
    /// What the filters found.
    pub facts: Facts,
    /// The trace that a command's backend was told of.
    pub traceparent: Option<HeaderValue>,
    /// Why it was refused.
    pub refused: Option<Reason>,
    /// What failed behind the gateway.
    pub fault: Option<Box<Fault>>,
    /// When its head had arrived.
    pub started: Instant,
    /// The same, Unix milliseconds.
    pub started_ms: i64,
    /// From its arrival to the end of the chain.
    pub chain_took: Duration,
    /// How long the backend took.
    pub backend_took: Duration,
    /// Body bytes that came.
    pub bytes_in: u64,
    /// Where it was sent.
    pub track: Track,
    /// Where a proxied request is to be sent next.
    pub attempts: Attempts,
    /// Since when the upstream's total time runs.
    pub total_since: Instant,
    /// Whether the client was still sending when it was proxied, and still is.
    pub is_receiving: bool,
    /// Whether the client's body ended while it was proxied.
    pub has_streamed: bool,
    /// Whether the backend is asked for a WebSocket.
    pub asks_upgrade: bool,
    /// Whether the head of the backend's answer has come.
    pub is_answered: bool,
    /// How many interim answers (1xx) have come ahead of it.
    pub interim_answers: u8,
    /// Whether the connection was upgraded: then no deadline holds for the whole.
    pub is_upgraded: bool,
    /// Its place among the open streams, where it is one that goes on for long.
    pub stream: Option<OpenStream>,
    /// Whether the client's side was taken out of Pingora's session: whoever has it counts and logs the request.
    pub is_handed_over: bool,
    /// Counts it, unless it was handed over.
    pub in_flight: Option<InFlight>,
}

/// Counts a request as long as it lives, however it ends: among all, and behind a trusted proxy among its client's.
pub struct InFlight(IntGauge, Option<Slot>);

impl InFlight {
    /// Counts it among its client's.
    pub fn hold(&mut self, slot: Slot) {
        self.1 = Some(slot);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A route, which counts the request as long as it has it.
pub struct OnRoute(Arc<Route>);

impl From<Arc<Route>> for OnRoute {
    fn from(route: Arc<Route>) -> Self {
        route.metrics.in_flight.inc();
        Self(route)
    }
}

impl Deref for OnRoute {
    type Target = Arc<Route>;

    fn deref(&self) -> &Arc<Route> {
        &self.0
    }
}

impl Drop for OnRoute {
    fn drop(&mut self) {
        self.0.metrics.in_flight.dec();
    }
}

impl RequestContext {
    /// Of a request that has not been looked at.
    #[must_use]
    pub fn new(plan: Arc<Plan>, in_flight: &IntGauge, started_ms: i64) -> Self {
        in_flight.inc();
        Self {
            plan,
            listener: usize::MAX,
            route: None,
            path: None,
            client_ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            told: None,
            is_behind_proxy: false,
            received: Version::HTTP_11,
            goes_round: false,
            brought_forwarding: false,
            is_tls: false,
            facts: Facts::default(),
            traceparent: None,
            refused: None,
            fault: None,
            started: Instant::now(),
            total_since: Instant::now(),
            started_ms,
            chain_took: Duration::ZERO,
            backend_took: Duration::ZERO,
            bytes_in: 0,
            track: Track::default(),
            attempts: Attempts::default(),
            is_receiving: false,
            has_streamed: false,
            asks_upgrade: false,
            is_answered: false,
            interim_answers: 0,
            is_upgraded: false,
            stream: None,
            is_handed_over: false,
            in_flight: Some(InFlight(in_flight.clone(), None)),
        }
    }

    /// The listener that it came in on.
    #[must_use]
    pub fn listener(&self) -> Option<&PlannedListener> {
        self.plan.listeners.get(self.listener)
    }

    /// The most of a body that is taken, in bytes: by its listener, or where a filter takes less by that.
    #[must_use]
    pub fn body_bytes_max(&self) -> u64 {
        let listeners = self.listener().map(|listener| listener.body_bytes_max);
        self.facts.body_bytes_max.into_iter().chain(listeners).min().unwrap_or(u64::MAX)
    }

    /// Takes down that it is refused.
    pub fn note_refusal(&mut self, refusal: &Refusal) {
        self.refused = Some(refusal.reason);
        if refusal.fault.is_some() {
            self.fault.clone_from(&refusal.fault);
        }
    }

    /// Where it counts.
    #[must_use]
    pub fn metrics<'a>(&'a self, unrouted: &'a RouteMetrics) -> &'a RouteMetrics {
        self.route.as_ref().map_or(unrouted, |route| &route.metrics)
    }

    /// Whether the head of an answer of the backend has come, if only of an interim one.
    #[must_use]
    pub fn has_head(&self) -> bool {
        self.is_answered || self.is_upgraded || self.interim_answers > 0
    }

    /// How it is proxied, where it is.
    #[must_use]
    pub fn forward(&self) -> Option<&Forward> {
        match &self.route.as_ref()?.target {
            Target::Forward(forward) => Some(forward),
            _ => None,
        }
    }

    /// What finds its route again, once it has one.
    #[must_use]
    pub fn opening<'a>(&'a self, head: &'a Parts) -> Option<Opening<'a>> {
        Some(Opening {
            plan: &self.plan,
            route: self.route.as_deref()?,
            listener: self.listener,
            host: host(&head.uri, &head.headers),
            client_host: self.told.as_ref().and_then(|told| told.host.as_ref()).and_then(|host| host.to_str().ok()),
            path: self.path.as_ref()?,
            head,
            session: self.facts.session.as_ref(),
        })
    }

    /// What filters are given of it: what is known, and what they find.
    #[must_use]
    pub fn exchange<'a>(&'a mut self, head: &'a Parts, body: Option<&'a Bytes>) -> Exchange<'a> {
        let head = Head {
            method: &head.method,
            path: self.path.as_ref().map_or("/", CanonicalPath::as_str),
            query: head.uri.query(),
            headers: &head.headers,
            client_ip: self.client_ip,
            route: self.route.as_ref().map_or("-", |route| route.name.as_str()),
            cost: self.route.as_ref().map_or(1, |route| route.cost),
        };
        Exchange { head, body, message_types: None, facts: &mut self.facts }
    }
}
