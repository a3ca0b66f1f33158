//! A caller that does what every caller may do to reach somebody, and counts the rest as lost.

use crate::kit::{
    PATIENCE,
    authority::Vouched,
    rpc::{Codec, Dialect, Protocol},
};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    client::conn::{TrySendError, http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use std::{
    error::Error as _,
    io,
    net::SocketAddr,
    sync::{Arc, RwLock},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// What a caller speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// One request after the other on a connection, by POST: nobody may send one twice.
    Kept,
    /// A connection for each request.
    Fresh,
    Http2,
    Grpc,
    KeptTls,
    FreshTls,
    GrpcTls,
}
use Way::{Fresh, FreshTls, Grpc, GrpcTls, Http2, Kept, KeptTls};

pub const WAYS: [Way; 7] = [Kept, Fresh, Http2, Grpc, KeptTls, FreshTls, GrpcTls];

impl Way {
    fn is_tls(self) -> bool {
        matches!(self, KeptTls | FreshTls | GrpcTls)
    }

    fn is_http2(self) -> bool {
        matches!(self, Http2 | Grpc | GrpcTls)
    }

    fn request(self) -> Request<Full<Bytes>> {
        if matches!(self, Grpc | GrpcTls) {
            let dialect = Dialect(Protocol::Grpc, Codec::Proto);
            let body = dialect.body(0, &[&dialect.item("one")]);
            let request = Request::post("http://edge/test.v1.Test/Ask").header("te", "trailers");
            return request.header("content-type", dialect.media_type()).body(body.into()).unwrap();
        }
        let uri = if self.is_http2() { "http://edge/a" } else { "/a" };
        Request::post(uri).header("host", "edge").body(Full::from("{}")).unwrap()
    }
}

/// The addresses of an instance: in cleartext, and with TLS.
pub type Instance = (SocketAddr, SocketAddr);

/// Who can be called now.
#[derive(Default)]
pub struct Instances(RwLock<Vec<Instance>>);

impl Instances {
    pub fn add(&self, instance: Instance) {
        self.0.write().unwrap().push(instance);
    }

    pub fn remove(&self, instance: Instance) {
        self.0.write().unwrap().retain(|known| *known != instance);
    }

    fn any(&self) -> Instance {
        let known = self.0.read().unwrap();
        known[fastrand::usize(..known.len())]
    }
}

enum Connection {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

pub struct Caller {
    way: Way,
    instances: Arc<Instances>,
    tls: TlsConnector,
    connection: Option<Connection>,
}

impl Caller {
    pub fn new(way: Way, instances: &Arc<Instances>, vouched: &Vouched) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&vouched.ca).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![if way.is_http2() { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
        Self { way, instances: Arc::clone(instances), tls: Arc::new(config).into(), connection: None }
    }

    /// Gets one whole answer, or says how the request was lost.
    pub async fn call(&mut self) -> Result<(), String> {
        timeout(PATIENCE, self.called()).await.unwrap_or_else(|_| Err("no answer".to_owned()))
    }

    async fn called(&mut self) -> Result<(), String> {
        let mut request = self.way.request();
        loop {
            let mut connection = self.open().await.map_err(|error| format!("no connection: {error}"))?;
            match connection.send(request).await {
                Ok(response) => {
                    self.whole(response).await?;
                    self.connection = Some(connection).filter(|_| !matches!(self.way, Fresh | FreshTls));
                    return Ok(());
                }
                Err(mut error) => match error.take_message() {
                    // Not a byte of it was sent.
                    Some(unsent) => request = unsent,
                    None => request = self.not_taken(&error.into_error())?,
                },
            }
        }
    }

    /// The connection that there is, where it is still open, or another.
    async fn open(&mut self) -> io::Result<Connection> {
        if let Some(mut connection) = self.connection.take()
            && connection.is_ready().await
        {
            return Ok(connection);
        }
        self.connect().await
    }

    /// The request once more, where it was not sent after a GOAWAY, or is of a stream that a GOAWAY says was not taken (RFC
    /// 9113 section 6.8): h2 gives this error in no other case.
    fn not_taken(&self, error: &hyper::Error) -> Result<Request<Full<Bytes>>, String> {
        let cause = error.source().and_then(|source| source.downcast_ref::<h2::Error>());
        let is_not_taken = cause.is_some_and(|cause| {
            cause.is_go_away() && cause.is_remote() && cause.reason() == Some(h2::Reason::NO_ERROR)
        });
        if is_not_taken { Ok(self.way.request()) } else { Err(format!("no answer: {error:?}")) }
    }

    async fn whole(&self, response: Response<Incoming>) -> Result<(), String> {
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| format!("half an answer: {error:?}"))?;
        let status = |headers: Option<&http::HeaderMap>| Some(headers?.get("grpc-status")?.to_str().ok()?.to_owned());
        let is_grpc = matches!(self.way, Grpc | GrpcTls);
        let grpc_status = status(body.trailers()).or_else(|| status(Some(&head.headers)));
        if head.status != 200 || (is_grpc && grpc_status.as_deref() != Some("0")) {
            return Err(format!("answered {head:?} {grpc_status:?} {:?}", body.to_bytes()));
        }
        Ok(())
    }

    async fn connect(&self) -> io::Result<Connection> {
        let (plain, tls) = self.instances.any();
        let stream = TcpStream::connect(if self.way.is_tls() { tls } else { plain }).await?;
        stream.set_nodelay(true)?;
        if self.way.is_tls() {
            let name = tls.ip().into();
            self.handshake(self.tls.connect(name, stream).await?).await
        } else {
            self.handshake(stream).await
        }
    }

    async fn handshake<T: AsyncRead + AsyncWrite + Send + Unpin + 'static>(&self, stream: T) -> io::Result<Connection> {
        let io = TokioIo::new(stream);
        Ok(if self.way.is_http2() {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.map_err(io::Error::other)?;
            tokio::spawn(connection);
            Connection::Two(sender)
        } else {
            let (sender, connection) = http1::handshake(io).await.map_err(io::Error::other)?;
            tokio::spawn(connection);
            Connection::One(sender)
        })
    }
}

impl Connection {
    async fn is_ready(&mut self) -> bool {
        match self {
            Self::One(sender) => sender.ready().await.is_ok(),
            Self::Two(sender) => sender.ready().await.is_ok(),
        }
    }

    async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Full<Bytes>>>> {
        match self {
            Self::One(sender) => sender.try_send_request(request).await,
            Self::Two(sender) => sender.try_send_request(request).await,
        }
    }
}
