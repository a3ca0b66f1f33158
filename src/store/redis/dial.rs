//! One connection, from its address to the first answer.

use super::fault::LinkFault;
use crate::config::source::RedisUrl;
use redis::{AsyncConnectionConfig, Cmd, RedisConnectionInfo, Value, aio::MultiplexedConnection};
use rustls::{ClientConfig, pki_types::ServerName};
use std::{pin::Pin, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// Calls that wait to be written. Those that find it full wait too, within their own deadline.
const WRITE_QUEUE: usize = 1024;

/// What reads and writes a connection. Dropped, the connection is closed and every call on it fails.
pub(super) type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// An open connection that nobody else uses yet.
pub(super) struct Dialed {
    /// Host and port.
    server: String,
    pub(super) connection: MultiplexedConnection,
    pub(super) driver: Driver,
    wait: Duration,
}

/// How connections are made.
#[derive(Clone)]
pub(super) struct Dialer {
    /// How to speak TLS.
    pub(super) tls: Option<Arc<ClientConfig>>,
    /// The longest that each step takes.
    pub(super) connect_timeout: Duration,
    /// The longest that a call takes, once the link is in use.
    pub(super) command_timeout: Duration,
}

impl Dialer {
    /// Connects and authenticates.
    pub(super) async fn dial(&self, url: &RedisUrl) -> Result<Dialed, LinkFault> {
        let fault = |why: String| LinkFault::Unreachable { server: url.to_string(), why };
        let stream = timeout(self.connect_timeout, self.connect(url)).await;
        let stream = stream.map_err(|_| fault("no connection in time".to_owned()))?.map_err(fault)?;
        let mut info = RedisConnectionInfo::default().set_db(url.database).set_skip_set_lib_name();
        if let Some(user) = &url.user {
            info = info.set_username(user);
        }
        if let Some(password) = &url.password {
            info = info.set_password(password);
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(Some(self.command_timeout.max(self.connect_timeout)))
            .set_pipeline_buffer_size(WRITE_QUEUE);
        let opened = MultiplexedConnection::new_with_config(&info, stream, config);
        match timeout(self.connect_timeout, opened).await {
            Ok(Ok((connection, driver))) => {
                let (server, wait) = (url.to_string(), self.connect_timeout);
                Ok(Dialed { server, connection, driver: Box::pin(driver), wait })
            }
            // The texts of the library have no password in them; the server never repeats one.
            Ok(Err(error)) => Err(match LinkFault::refused(&url.to_string(), &error) {
                forbidden @ LinkFault::Forbidden { .. } => forbidden,
                _ => fault(error.to_string()),
            }),
            Err(_) => Err(fault("no answer in time".to_owned())),
        }
    }

    async fn connect(&self, url: &RedisUrl) -> Result<Box<dyn Stream>, String> {
        let stream = TcpStream::connect((url.host.as_str(), url.port)).await.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        if !url.is_tls {
            return Ok(Box::new(stream));
        }
        let Some(tls) = &self.tls else { return Err("there is nobody to trust".to_owned()) };
        let name = ServerName::try_from(url.host.clone()).map_err(|error| error.to_string())?;
        let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await;
        Ok(Box::new(stream.map_err(|error| format!("TLS: {error}"))?))
    }
}

impl Dialed {
    /// Asks before the connection is in use.
    pub(super) async fn ask(&mut self, command: &Cmd) -> Result<Value, LinkFault> {
        let answer = tokio::select! {
            answer = timeout(self.wait, self.connection.send_packed_command(command)) => answer,
            () = &mut self.driver => return Err(LinkFault::Closed),
        };
        let answer = answer.map_err(|_| LinkFault::Silent)?;
        answer.and_then(Value::extract_error).map_err(|error| LinkFault::refused(&self.server, &error))
    }
}
