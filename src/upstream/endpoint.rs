//! One backend address.

use super::{pool::Pool, rest::Rest};
use http::{Uri, uri::Scheme};
use std::{io, net::SocketAddr, time::Instant};

/// An endpoint that cannot be used, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EndpointProblem(pub String);

/// One address of an upstream, with the connections that are kept to it.
pub struct Endpoint {
    authority: String,
    host: String,
    port: u16,
    literal: Option<SocketAddr>,
    rest: Rest,
    pub(super) pool: Pool,
}

impl Endpoint {
    /// From `http://host:port`; the port is 80 where it is left out.
    ///
    /// # Errors
    /// Where it is anything else.
    pub fn parse(url: &str) -> Result<Self, EndpointProblem> {
        let problem = |what: &str| EndpointProblem(format!("endpoint `{url}`: {what}"));
        let uri: Uri = url.parse().map_err(|_| problem("is no URL"))?;
        if uri.scheme() != Some(&Scheme::HTTP) {
            return Err(problem("only http:// is served"));
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(problem("has a path or a query"));
        }
        let authority = uri.authority().ok_or_else(|| problem("has no host"))?;
        if authority.as_str().contains('@') {
            return Err(problem("has user information"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(80);
        let literal = host.parse().ok().map(|ip| SocketAddr::new(ip, port));
        let (authority, rest, pool) = (authority.as_str().to_owned(), Rest::default(), Pool::default());
        Ok(Self { authority, host, port, literal, rest, pool })
    }

    /// `host:port` as written, for the `Host` header.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
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

    #[test]
    fn endpoints_are_plain_http_origins() {
        for (url, authority) in [
            ("http://127.0.0.1:8081", Some("127.0.0.1:8081")),
            ("http://backend/", Some("backend")),
            ("http://[::1]:80", Some("[::1]:80")),
            ("https://backend", None),
            ("backend:80", None),
            ("http://backend/api", None),
            ("http://backend?x", None),
            ("http://user@backend", None),
            ("", None),
        ] {
            assert_eq!(Endpoint::parse(url).ok().map(|e| e.authority().to_owned()).as_deref(), authority, "{url}");
        }
    }
}
