//! TLS to endpoints, for HTTP/2 only.

use super::EndpointProblem;
use crate::client::Trust;
use rustls::{AlertDescription, pki_types::ServerName};
use std::{io, sync::Arc};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

const ALPN: &[u8] = b"h2";
const NO_HTTP2: &str = "TLS: it does not offer HTTP/2 (`h2` by ALPN)";

/// How the `https://` endpoints of an upstream are spoken to.
#[derive(Clone)]
pub struct UpstreamTls {
    connector: TlsConnector,
    server_name: Option<ServerName<'static>>,
}

impl UpstreamTls {
    /// With those whom `trust` vouches for, under `server_name`, or each under the host of its own URL.
    ///
    /// # Errors
    /// Where `server_name` is neither a host name nor an IP address.
    pub fn new(trust: &Trust, server_name: Option<&str>) -> Result<Self, EndpointProblem> {
        let mut config = trust.config();
        config.alpn_protocols = vec![ALPN.to_vec()];
        let server_name = server_name.map(parse).transpose()?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), server_name })
    }

    /// How one endpoint is spoken to.
    ///
    /// # Errors
    /// Where its host can be in no certificate.
    pub fn of(&self, host: &str) -> Result<EndpointTls, EndpointProblem> {
        let name = self.server_name.clone().map_or_else(|| parse(host), Ok)?;
        Ok(EndpointTls { connector: self.connector.clone(), name })
    }
}

fn parse(name: &str) -> Result<ServerName<'static>, EndpointProblem> {
    ServerName::try_from(name.to_owned()).map_err(|_| EndpointProblem(format!("`{name}` is no name for TLS")))
}

/// How one endpoint is spoken to.
#[derive(Clone)]
pub struct EndpointTls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl EndpointTls {
    /// Makes the handshake; the peer has agreed to HTTP/2 then.
    ///
    /// # Errors
    /// What went wrong, or that the peer speaks no HTTP/2.
    pub async fn handshake(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>, String> {
        let stream = self.connector.connect(self.name.clone(), stream).await.map_err(|error| cause(&error))?;
        // A server that knows nothing of ALPN says nothing about it (RFC 7301 section 3.1).
        if stream.get_ref().1.alpn_protocol() != Some(ALPN) {
            return Err(NO_HTTP2.to_owned());
        }
        Ok(stream)
    }
}

fn cause(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)) => NO_HTTP2.to_owned(),
        _ => format!("TLS: {error}"),
    }
}
