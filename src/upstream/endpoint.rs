//! One backend address.

use super::{
    UpstreamTls,
    addresses::{Addresses, Candidates},
    fault::{FaultKind, Unreached},
    health::{Counts, Health},
    pool::Pool,
    streams::{Streams, Waits},
    tls::EndpointTls,
};
use http::{
    Uri,
    uri::{Authority, Scheme},
};
use prometheus::Histogram;
use std::{fmt::Display, sync::Arc, time::Duration};

/// An endpoint that cannot be used, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EndpointProblem(pub String);

/// What the endpoints of an upstream have in common.
pub(super) struct Common<'a> {
    pub(super) upstream: Arc<str>,
    pub(super) connect_seconds: Histogram,
    pub(super) waits: Waits,
    pub(super) tls: &'a UpstreamTls,
}

/// One address of an upstream, with the connections that are kept to it.
pub struct Endpoint {
    pub(super) scheme: Scheme,
    pub(super) authority: Authority,
    addresses: Addresses,
    health: Health,
    connect_seconds: Histogram,
    pub(super) pool: Pool,
    pub(super) tls: Option<EndpointTls>,
    pub(super) streams: Streams,
}

impl Endpoint {
    /// From `http://host:port` or `https://host:port`; the port is 80 or 443 where it is left out.
    ///
    /// # Errors
    /// Where it is anything else.
    pub(super) fn new(url: &str, common: &Common<'_>) -> Result<Self, EndpointProblem> {
        let problem = |what: &str| EndpointProblem(format!("endpoint `{url}`: {what}"));
        let uri: Uri = url.parse().map_err(|_| problem("is no URL"))?;
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(problem("has a path or a query"));
        }
        let parts = uri.into_parts();
        let scheme = parts.scheme.filter(|scheme| [Scheme::HTTP, Scheme::HTTPS].contains(scheme));
        let scheme = scheme.ok_or_else(|| problem("is neither http:// nor https://"))?;
        let authority = parts.authority.ok_or_else(|| problem("has no host"))?;
        if authority.as_str().contains('@') {
            return Err(problem("has user information"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let is_tls = scheme == Scheme::HTTPS;
        let port = authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let tls = is_tls.then(|| common.tls.of(&host)).transpose()?;
        let health = Health::new(Arc::clone(&common.upstream), authority.to_string());
        Ok(Self {
            scheme,
            authority,
            addresses: Addresses::new(&host, port),
            health,
            connect_seconds: common.connect_seconds.clone(),
            pool: Pool::default(),
            tls,
            streams: Streams::new(common.waits),
        })
    }

    /// `host:port` as written, for the `Host` header.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.authority.as_str()
    }

    /// The name of its upstream.
    #[must_use]
    pub fn upstream(&self) -> &str {
        self.health.upstream()
    }

    /// It could not be connected to: requests go elsewhere for a while.
    pub fn unreachable(&self, fault: FaultKind, cause: &dyn Display) {
        self.health.unreachable(fault, cause);
    }

    /// It was connected to, perhaps some time ago.
    pub fn reached(&self) {
        self.health.reached();
    }

    /// A new connection to it took so long.
    pub fn connected(&self, took: Duration) {
        self.connect_seconds.observe(took.as_secs_f64());
    }

    /// It was sent a request and gave no answer that could be passed on.
    pub fn failed(&self, fault: FaultKind, cause: &dyn Display) {
        self.health.failed(fault, cause);
    }

    /// It answered with this status.
    pub fn answered(&self, status: u16) {
        self.health.answered(status);
    }

    /// Whether the last attempt to connect to it succeeded, or none was made.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.health.is_up()
    }

    /// What was seen of it.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.health.counts
    }

    pub(super) fn lets_through(&self) -> bool {
        self.health.rest.lets_through(std::time::Instant::now)
    }

    /// The addresses to connect to, one after the other.
    ///
    /// # Errors
    /// Where its name does not resolve.
    pub async fn candidates(&self) -> Result<Candidates, Unreached> {
        self.addresses.candidates().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{client::Trust, upstream::UpstreamOptions};
    use std::time::Duration;

    #[test]
    fn endpoints_are_origins() {
        let tls = UpstreamTls::new(&Trust::nobody(), None).unwrap();
        let options = UpstreamOptions {
            connect: Duration::ZERO,
            read: Duration::ZERO,
            write: Duration::ZERO,
            request: Duration::ZERO,
            idle_max: 0,
            idle_timeout: Duration::ZERO,
            answer_bytes_max: 0,
        };
        let connect_seconds = Histogram::with_opts(prometheus::HistogramOpts::new("a", "a")).unwrap();
        let common = Common { upstream: "a".into(), connect_seconds, waits: Waits::from(&options), tls: &tls };
        let port = |endpoint: &Endpoint| endpoint.addresses.port();
        for (url, expected) in [
            ("http://127.0.0.1:8081", Some(("127.0.0.1:8081", 8081, false))),
            ("http://backend/", Some(("backend", 80, false))),
            ("http://[::1]:80", Some(("[::1]:80", 80, false))),
            ("https://backend", Some(("backend", 443, true))),
            ("https://[::1]:8443", Some(("[::1]:8443", 8443, true))),
            ("https://a..b", None),
            ("ftp://backend", None),
            ("backend:80", None),
            ("http://backend/api", None),
            ("http://backend?x", None),
            ("http://user@backend", None),
            ("", None),
        ] {
            let endpoint = Endpoint::new(url, &common).ok();
            let found = endpoint.as_ref().map(|found| (found.authority(), port(found), found.tls.is_some()));
            assert_eq!(found, expected, "{url}");
        }
    }
}
