//! Backends: their endpoints, and calls that handlers make to them.
//!
//! Forwarded requests take only the endpoint from here and travel through the proxy's own connector;
//! commands and session lookups are whole calls over [`Upstream::call`]'s pool. Generic RPC is HTTP/2 streams that
//! [`Upstream::open`] opens, the only way by which TLS is spoken.

mod addresses;
mod client;
mod endpoint;
mod fault;
mod framing;
pub mod grpc;
mod health;
pub mod liveness;
mod pool;
mod rest;
pub mod sessions;
mod stand_in;
mod streams;
mod tls;
mod track;

pub use addresses::Candidates;
pub use client::{Answer, CallFault};
pub use endpoint::{Endpoint, EndpointProblem};
pub use fault::{FaultKind, Unreached};
pub use framing::is_doubtful;
pub use stand_in::StandIn;
pub use streams::{AnswerBody, StreamBody};
pub use tls::{EndpointTls, UpstreamTls};
pub use track::Track;

use crate::client::Trust;
use endpoint::Common;
use filters::api::Fault;
use http::StatusCode;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use prometheus::{Histogram, HistogramOpts};
use std::{
    iter,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use streams::Waits;

/// What is wrong with an answer of this status.
#[must_use]
pub fn answer_status(status: StatusCode) -> Fault {
    let hint = if status.is_redirection() { ", and redirects are not followed" } else { "" };
    Fault::new("answer_status", format!("the answer's status is {}{hint}", status.as_u16()))
}

/// How an upstream is called.
#[derive(Debug, Clone, Copy)]
pub struct UpstreamOptions {
    /// Until the connection stands.
    pub connect: Duration,
    /// Between two reads.
    pub read: Duration,
    /// Until a write has made progress.
    pub write: Duration,
    /// The whole call.
    pub request: Duration,
    /// The most idle connections kept for each endpoint.
    pub idle_max: usize,
    /// How long one is kept.
    pub idle_timeout: Duration,
    /// The largest answer that is read whole, in bytes.
    pub answer_bytes_max: usize,
}

/// A named group of endpoints that do the same. Requests go to them in turn; one that could not be connected to is
/// left out for a while, unless all are.
pub struct Upstream {
    name: String,
    endpoints: Vec<Arc<Endpoint>>,
    next: AtomicUsize,
    options: UpstreamOptions,
    connect_seconds: Histogram,
    stand_in: OnceLock<Arc<dyn StandIn>>,
}

/// The bounds of [`Upstream::connect_seconds`]: from the next process to the longest that is waited for.
const CONNECT_BUCKETS: [f64; 9] = [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];

impl Upstream {
    /// An upstream of these endpoints; of those with `https://` nobody is trusted.
    ///
    /// # Errors
    /// Where there is none, or one is no `http://host:port` or `https://host:port`.
    pub fn new(name: &str, endpoints: &[String], options: UpstreamOptions) -> Result<Self, EndpointProblem> {
        Self::with_tls(name, endpoints, options, &UpstreamTls::new(&Trust::nobody(), None)?)
    }

    /// An upstream of these endpoints, with what is needed for those with `https://`.
    ///
    /// # Errors
    /// Where there is none, or one is no `http://host:port` or `https://host:port`.
    pub fn with_tls(
        name: &str,
        endpoints: &[String],
        options: UpstreamOptions,
        tls: &UpstreamTls,
    ) -> Result<Self, EndpointProblem> {
        if endpoints.is_empty() {
            return Err(EndpointProblem(format!("upstream `{name}` has no endpoint")));
        }
        let seconds = HistogramOpts::new(
            "portcullis_upstream_connect_seconds",
            "How long new connections to endpoints of an upstream took to be made.",
        );
        let seconds = seconds.const_label("upstream", name).buckets(CONNECT_BUCKETS.to_vec());
        let connect_seconds =
            Histogram::with_opts(seconds).map_err(|error| EndpointProblem(format!("upstream `{name}`: {error}")))?;
        let waits = Waits::from(&options);
        let common = Common { upstream: name.into(), connect_seconds: connect_seconds.clone(), waits, tls };
        let endpoint = |url: &String| Endpoint::new(url, &common).map(Arc::new);
        let endpoints = endpoints.iter().map(endpoint).collect::<Result<_, _>>()?;
        let next = AtomicUsize::new(0);
        Ok(Self { name: name.to_owned(), endpoints, next, options, connect_seconds, stand_in: OnceLock::new() })
    }

    /// Whether any of its endpoints is spoken to by TLS.
    #[must_use]
    pub fn has_tls(&self) -> bool {
        self.endpoints.iter().any(|endpoint| endpoint.tls.is_some())
    }

    /// The name in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it is called.
    #[must_use]
    pub fn options(&self) -> &UpstreamOptions {
        &self.options
    }

    /// Has all calls answered by this from now on, and nothing sent: of a plan that is only tried. The first holds.
    pub fn answer_instead(&self, stand_in: Arc<dyn StandIn>) {
        drop(self.stand_in.set(stand_in));
    }

    /// Its endpoints, in the configuration's order.
    #[must_use]
    pub fn endpoints(&self) -> &[Arc<Endpoint>] {
        &self.endpoints
    }

    /// How long new connections to its endpoints took.
    #[must_use]
    pub fn connect_seconds(&self) -> &Histogram {
        &self.connect_seconds
    }

    /// The endpoint whose turn it is but for those in `failed`, of those that do not rest; where all do, of all.
    #[must_use]
    pub fn pick(&self, failed: &[Arc<Endpoint>]) -> Option<&Arc<Endpoint>> {
        let is_left = |endpoint: &&Arc<Endpoint>| !failed.iter().any(|failed| Arc::ptr_eq(failed, endpoint));
        let turns = || iter::repeat_with(|| self.turn()).take(self.endpoints.len()).flatten().filter(is_left);
        turns().find(|endpoint| endpoint.lets_through()).or_else(|| turns().next())
    }

    fn turn(&self) -> Option<&Arc<Endpoint>> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        self.endpoints.get(turn.checked_rem(self.endpoints.len()).unwrap_or(0))
    }
}

/// Whether credentials or a challenge are of a scheme that authenticates the connection and with it all that follows
/// on it (RFC 4559 section 6): such a connection is nobody else's.
#[must_use]
pub fn is_of_connection(value: &[u8]) -> bool {
    [&b"ntlm"[..], b"negotiate"].iter().any(|scheme| {
        value.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme))
            && value.get(scheme.len()).is_none_or(|next| !next.is_ascii_alphanumeric())
    })
}

/// RFC 3986 `unreserved` stays; everything else is escaped, so that a value can neither leave its segment or
/// parameter nor be read as syntax.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A value as one path segment, or as one name or value of a query.
#[must_use]
pub fn encode_value(value: &str) -> String {
    utf8_percent_encode(value, VALUE).to_string()
}
