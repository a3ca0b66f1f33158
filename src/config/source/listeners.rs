//! What is listened on, and what every connection is held to.

use filters::api::units::{Duration, Size};
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use std::{net::SocketAddr, path::PathBuf};

/// One address and what is spoken on it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// IP address and port. Port 0 takes a free one, which the ready line names.
    #[schemars(extend("format" = "socket-address"))]
    pub bind: SocketAddr,
    /// The protocols; with `tls`, `h2` is offered by ALPN.
    #[serde(default = "protocols_by_default")]
    pub protocols: Vec<Protocol>,
    /// Certificate and key; without it the listener speaks cleartext.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// Networks (`10.0.0.0/8`) and addresses of proxies that are believed: of the client's address `X-Forwarded-For`; of
    /// the scheme, host and port that it used `X-Forwarded-Proto`, `-Host` and `-Port`, or where none of these is there
    /// `Forwarded`. Routes go by `Host` alone.
    #[serde(default)]
    pub trusted_proxies: Vec<String>,
    /// The most that one request may bring.
    #[serde(default)]
    pub limits: Limits,
    /// Serves `/livez`, `/readyz`, `/metrics` and the configuration instead of routes. Loopback only.
    #[serde(default)]
    pub admin: bool,
}

fn protocols_by_default() -> Vec<Protocol> {
    vec![Protocol::Http1, Protocol::H2]
}

/// A protocol of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(extend("enum" = ["http1", "h2", "h2c"]), transform = one_enum)]
pub enum Protocol {
    /// HTTP/1.1 (and 1.0).
    Http1,
    /// HTTP/2: by ALPN under TLS, by prior knowledge (`h2c`, which is taken for `h2`) without.
    #[serde(alias = "h2c")]
    H2,
}

/// An alias of serde's is not in the generated schema, so the names are given whole.
fn one_enum(schema: &mut Schema) {
    schema.remove("oneOf");
    schema.insert("type".to_owned(), "string".into());
}

/// Certificate and key of a listener.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM file: the certificate, then its chain.
    pub certificate: PathBuf,
    /// PEM file: the private key.
    pub key: PathBuf,
}

/// The most that one request may bring.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Request line and headers together.
    pub head: Size,
    /// Number of headers.
    pub headers: usize,
    /// Body, and a decompressed message.
    pub body: Size,
    /// Concurrent streams of one HTTP/2 connection.
    pub streams: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head: Size::from_bytes(32 << 10), headers: 100, body: Size::from_bytes(1 << 20), streams: 128 }
    }
}

/// What every connection is held to.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Connections {
    /// The most that are open at once, over all listeners. The admin listener does not count.
    pub max: usize,
    /// The most from one address: an IPv4 address, or an IPv6 /64. Trusted proxies may have any number; there it is the most
    /// requests of one client that are in flight.
    pub per_ip: usize,
    /// From the first byte (of a new connection: from the accept) to the end of the head.
    pub head_deadline: Duration,
    /// Between two reads of a body.
    pub body_idle: Duration,
    /// From the end of the head to the end of a body that a filter or a handler reads whole.
    pub body_deadline: Duration,
    /// How long a connection may wait for its next request.
    pub keepalive: Duration,
    /// Until a write to the client has made progress.
    pub write: Duration,
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            max: 20_000,
            per_ip: 2_000,
            head_deadline: Duration::from_secs(10),
            body_idle: Duration::from_secs(30),
            body_deadline: Duration::from_secs(60),
            keepalive: Duration::from_secs(75),
            write: Duration::from_secs(30),
        }
    }
}
