//! Backends: their endpoints, and calls that handlers make to them.
//!
//! Forwarded requests take only the endpoint from here and travel through the proxy's own connector;
//! commands and session lookups are whole calls over [`Upstream::call`]'s pool. Generic RPC is HTTP/2 streams that
//! [`Upstream::open`] opens, the only way by which TLS is spoken.

mod client;
mod endpoint;
mod framing;
pub mod grpc;
pub mod liveness;
mod pool;
mod rest;
pub mod sessions;
mod stand_in;
mod streams;
mod tls;

pub use client::{Answer, CallFault};
pub use endpoint::{Endpoint, EndpointProblem};
pub use framing::is_doubtful;
pub use stand_in::StandIn;
pub use streams::{AnswerBody, StreamBody};
pub use tls::{EndpointTls, UpstreamTls};

use crate::client::Trust;
use filters::api::Fault;
use http::StatusCode;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
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
    stand_in: OnceLock<Arc<dyn StandIn>>,
}

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
        let endpoint = |url: &String| Endpoint::new(url, Waits::from(&options), tls).map(Arc::new);
        let endpoints = endpoints.iter().map(endpoint).collect::<Result<_, _>>()?;
        Ok(Self { name: name.to_owned(), endpoints, next: AtomicUsize::new(0), options, stand_in: OnceLock::new() })
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

    /// The endpoint whose turn it is, of those that do not rest; where all do, of all.
    #[must_use]
    pub fn pick(&self) -> Option<&Arc<Endpoint>> {
        let mut turns = iter::repeat_with(|| self.turn()).take(self.endpoints.len()).flatten();
        turns.find(|endpoint| endpoint.lets_through()).or_else(|| self.turn())
    }

    fn turn(&self) -> Option<&Arc<Endpoint>> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        self.endpoints.get(turn.checked_rem(self.endpoints.len()).unwrap_or(0))
    }
}

/// RFC 3986 `unreserved` stays; everything else is escaped, so that a value can neither leave its segment or
/// parameter nor be read as syntax.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A value as one path segment, or as one name or value of a query.
#[must_use]
pub fn encode_value(value: &str) -> String {
    utf8_percent_encode(value, VALUE).to_string()
}
