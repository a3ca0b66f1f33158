//! One backend address.

use super::{
    UpstreamTls,
    pool::Pool,
    rest::Rest,
    streams::{Streams, Waits},
    tls::EndpointTls,
};
use http::{
    Uri,
    uri::{Authority, Scheme},
};
use std::{io, net::SocketAddr, time::Instant};

/// An endpoint that cannot be used, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EndpointProblem(pub String);

/// One address of an upstream, with the connections that are kept to it.
pub struct Endpoint {
    pub(super) scheme: Scheme,
    pub(super) authority: Authority,
    host: String,
    port: u16,
    literal: Option<SocketAddr>,
    rest: Rest,
    pub(super) pool: Pool,
    pub(super) tls: Option<EndpointTls>,
    pub(super) streams: Streams,
}

impl Endpoint {
    /// From `http://host:port` or `https://host:port`; the port is 80 or 443 where it is left out.
    ///
    /// # Errors
    /// Where it is anything else.
    pub(super) fn new(url: &str, waits: Waits, tls: &UpstreamTls) -> Result<Self, EndpointProblem> {
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
        let literal = host.parse().ok().map(|ip| SocketAddr::new(ip, port));
        let tls = is_tls.then(|| tls.of(&host)).transpose()?;
        let (rest, pool, streams) = (Rest::default(), Pool::default(), Streams::new(waits));
        Ok(Self { scheme, authority, host, port, literal, rest, pool, tls, streams })
    }

    /// `host:port` as written, for the `Host` header.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.authority.as_str()
    }

    /// It could not be connected to: requests go elsewhere for a while.
    pub fn unreachable(&self) {
        self.rest.begin(Instant::now());
    }

    /// It was connected to.
    pub fn reached(&self) {
        self.rest.end();
    }

    pub(super) fn lets_through(&self) -> bool {
        self.rest.lets_through(Instant::now)
    }

    /// The socket address. A name is looked up each time: connections are kept, so look-ups are few.
    ///
    /// # Errors
    /// Where the name does not resolve.
    pub async fn address(&self) -> io::Result<SocketAddr> {
        if let Some(literal) = self.literal {
            return Ok(literal);
        }
        let mut addresses = tokio::net::lookup_host((self.host.as_str(), self.port)).await?;
        addresses.next().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("{} has no address", self.host)))
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
            let endpoint = Endpoint::new(url, Waits::from(&options), &tls).ok();
            let found = endpoint.as_ref().map(|found| (found.authority(), found.port, found.tls.is_some()));
            assert_eq!(found, expected, "{url}");
        }
    }
}
