//! What holds on a listener and on every connection, and which listener a connection came in on.

use super::{head::HeadLimits, tls::Tls};
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

/// The place of a listener in [`Bindings`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ListenerId(usize);

/// What holds on one listener.
#[derive(Debug, Clone)]
pub struct ListenerRules {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Whether HTTP/1.1 and HTTP/1.0 are served.
    pub http1: bool,
    /// Whether HTTP/2 is served: by ALPN under TLS, by prior knowledge without.
    pub http2: bool,
    /// Certificate and key; without them the listener speaks cleartext.
    pub tls: Option<Tls>,
    /// The most that a request head may bring.
    pub head: HeadLimits,
    /// Concurrent streams of one HTTP/2 connection.
    pub streams_max: u32,
    /// Whether its connections count against the caps. Those of the admin listener do not: a flood must not hide
    /// the process from those who could stop it.
    pub counted: bool,
}

/// What every connection is held to.
#[derive(Debug, Clone)]
pub struct ConnectionRules {
    /// From the accept (on a reused connection: from the first byte) to the end of the head, TLS handshake and
    /// HTTP/2 preface included.
    pub head_deadline: Duration,
    /// How long a connection may wait for its next request.
    pub keepalive: Duration,
    /// Between two reads of an HTTP/1 body.
    pub body_idle: Duration,
    /// Until a write to the client has made progress.
    pub write: Duration,
    /// How long an unread rest of a body is read and thrown away, so that the connection can be used again.
    pub drain: Duration,
}

/// A listener and the address that it was really bound to.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The address, with the port that the system gave for port 0.
    pub address: SocketAddr,
    /// What holds on it.
    pub rules: ListenerRules,
}

/// Every listener, found by the local address of a connection.
#[derive(Debug, Clone, Default)]
pub struct Bindings {
    endpoints: Vec<Endpoint>,
}

impl Bindings {
    /// Takes the endpoints of a process.
    #[must_use]
    pub fn new(endpoints: Vec<Endpoint>) -> Self {
        Self { endpoints }
    }

    /// The listener that a connection with this local address came in on: one bound to the very address, else one
    /// bound to all addresses of the port.
    #[must_use]
    pub fn by_local_addr(&self, local: &SocketAddr) -> Option<ListenerId> {
        // A dual-stack listener on `[::]` sees IPv4 clients at `::ffff:…`.
        let ip = local.ip().to_canonical();
        let with = |wanted: &dyn Fn(IpAddr) -> bool| {
            self.endpoints
                .iter()
                .position(|endpoint| endpoint.address.port() == local.port() && wanted(endpoint.address.ip()))
        };
        with(&|bound| bound.to_canonical() == ip)
            .or_else(|| with(&|bound| bound.is_unspecified() && bound.is_ipv4() == ip.is_ipv4()))
            .or_else(|| with(&|bound| bound.is_unspecified()))
            .map(ListenerId)
    }

    /// What holds on a listener.
    #[must_use]
    pub fn rules(&self, id: ListenerId) -> Option<&ListenerRules> {
        self.endpoints.get(id.0).map(|endpoint| &endpoint.rules)
    }

    /// Every listener with its address.
    #[must_use]
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bindings(addresses: &[&str]) -> Bindings {
        let endpoint = |address: &&str| Endpoint {
            address: address.parse().unwrap(),
            rules: ListenerRules {
                name: (*address).into(),
                http1: true,
                http2: true,
                tls: None,
                head: HeadLimits { bytes_max: 1024, headers_max: 10 },
                streams_max: 1,
                counted: true,
            },
        };
        Bindings::new(addresses.iter().map(endpoint).collect())
    }

    #[test]
    fn a_connection_is_found_by_its_own_address_before_the_wildcard_of_its_port() {
        let bindings = bindings(&["0.0.0.0:80", "127.0.0.1:80", "[::]:81", "0.0.0.0:81", "[::]:82"]);
        for (local, expected) in [
            ("127.0.0.1:80", Some("127.0.0.1:80")),
            ("10.0.0.1:80", Some("0.0.0.0:80")),
            ("[::ffff:127.0.0.1]:80", Some("127.0.0.1:80")),
            ("10.0.0.1:81", Some("0.0.0.0:81")),
            ("[fe80::1]:81", Some("[::]:81")),
            ("[::ffff:10.0.0.1]:82", Some("[::]:82")),
            ("127.0.0.1:83", None),
        ] {
            let id = bindings.by_local_addr(&local.parse().unwrap());
            assert_eq!(id.and_then(|id| bindings.rules(id)).map(|rules| &*rules.name), expected, "{local}");
        }
    }
}
