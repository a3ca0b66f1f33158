//! HTTP/1.1 and HTTP/2 towards the gateway, over kept connections.

use super::{Answer, CallError, Dialect, HttpVersion};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri, uri::PathAndQuery};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use proto::edge::v1::ExecuteCommandRequest;
use std::{error::Error, str::FromStr, time::Duration};

const ANSWER_BYTES_MAX: usize = 4 << 20;

const DEADLINE: Duration = Duration::from_secs(10);

const EXECUTE_COMMAND: &str = "/edge.v1.Gateway/ExecuteCommand";

/// Where a gateway listens: `http://host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(Uri);

/// Why a text is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no gateway address: write http://host:port, without a path")]
pub struct EndpointFault(String);

impl FromStr for Endpoint {
    type Err = EndpointFault;

    fn from_str(text: &str) -> Result<Self, EndpointFault> {
        let fault = || EndpointFault(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| fault())?;
        let bare = uri.path_and_query().is_none_or(|path| path == "/");
        if uri.scheme_str() == Some("http") && uri.host().is_some_and(|host| !host.is_empty()) && bare {
            return Ok(Self(uri));
        }
        Err(fault())
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "http://{}", self.0.authority().map_or("", |authority| authority.as_str()))
    }
}

impl Endpoint {
    /// The address of `path` there, exactly as it is spelled.
    fn at(&self, path: &str) -> Result<Uri, CallError> {
        let unreachable = |fault: &dyn Error| CallError::Unreachable(format!("{path}: {fault}"));
        let mut parts = self.0.clone().into_parts();
        parts.path_and_query = Some(PathAndQuery::try_from(path).map_err(|fault| unreachable(&fault))?);
        Uri::from_parts(parts).map_err(|fault| unreachable(&fault))
    }
}

/// What came back over HTTP.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body, at most 4 MiB.
    pub body: Bytes,
    /// The trailers, of HTTP/2 or of a chunked body.
    pub trailers: HeaderMap,
}

/// Calls gateways. Connections are kept between calls and closed with the client.
#[derive(Debug, Clone)]
pub struct Client {
    http1: legacy::Client<HttpConnector, Full<Bytes>>,
    http2: legacy::Client<HttpConnector, Full<Bytes>>,
    deadline: Duration,
}

impl Default for Client {
    fn default() -> Self {
        Self::new(DEADLINE)
    }
}

impl Client {
    /// A client each of whose calls may take at most `deadline`, from the connect to the last byte.
    #[must_use]
    pub fn new(deadline: Duration) -> Self {
        let build = |http2_only| {
            let mut connector = HttpConnector::new();
            connector.set_nodelay(true);
            let mut builder = legacy::Client::builder(TokioExecutor::new());
            builder.pool_timer(TokioTimer::new()).http2_only(http2_only).build(connector)
        };
        Self { http1: build(false), http2: build(true), deadline }
    }

    /// Sends one signed command and reads its answer, which is still to be verified.
    ///
    /// # Errors
    /// Where the gateway refused it, or no answer came.
    pub async fn call(
        &self,
        endpoint: &Endpoint,
        dialect: Dialect,
        request: &ExecuteCommandRequest,
    ) -> Result<Answer, CallError> {
        let (headers, body) = (dialect.headers(), dialect.body(request)?);
        let reply = self.exchange(endpoint, dialect.http_version(), Method::POST, EXECUTE_COMMAND, headers, body);
        dialect.read(reply.await?)
    }

    /// Sends one plain HTTP request; `path` goes out exactly as it is spelled.
    ///
    /// # Errors
    /// Where no whole answer came.
    pub async fn exchange(
        &self,
        endpoint: &Endpoint,
        version: HttpVersion,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Reply, CallError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = endpoint.at(path)?;
        *request.headers_mut() = headers;
        let client = match version {
            HttpVersion::Http1 => &self.http1,
            HttpVersion::Http2 => &self.http2,
        };
        let answered = async {
            let response = client.request(request).await.map_err(|fault| CallError::Unreachable(causes(&fault)))?;
            read(response).await
        };
        tokio::time::timeout(self.deadline, answered).await.map_err(|_| CallError::Deadline(self.deadline))?
    }
}

async fn read(response: http::Response<hyper::body::Incoming>) -> Result<Reply, CallError> {
    let (head, body) = response.into_parts();
    let collected = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    let collected = collected.map_err(|fault| CallError::Malformed(causes(fault.as_ref())))?;
    let trailers = collected.trailers().cloned().unwrap_or_default();
    Ok(Reply { status: head.status, headers: head.headers, body: collected.to_bytes(), trailers })
}

/// A fault with everything beneath it: hyper's own words alone are "client error (Connect)".
fn causes(fault: &(dyn Error + 'static)) -> String {
    let all = std::iter::successors(Some(fault), |&fault| fault.source());
    all.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Codec, Command, Device, Protocol};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    #[test]
    fn endpoints_are_a_scheme_a_host_and_a_port() {
        for good in ["http://127.0.0.1:9090", "http://[::1]:9090/", "http://edge.example"] {
            assert_eq!(good.parse::<Endpoint>().unwrap().to_string(), good.trim_end_matches('/'));
        }
        for bad in ["", "127.0.0.1:9090", "ftp://a", "http://", "http://a/b", "http://a/?b", "https://a"] {
            assert_eq!(bad.parse::<Endpoint>(), Err(EndpointFault(bad.to_owned())));
        }
    }

    /// A listener that takes one connection and says `answer`, or nothing more where there is none.
    async fn server(answer: Option<Vec<u8>>) -> Endpoint {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        tokio::spawn(async move {
            let (mut peer, _) = listener.accept().await.unwrap();
            if let Some(answer) = answer {
                // The client must have sent before it is answered, or hyper takes the answer for stray bytes.
                peer.read_u8().await.unwrap();
                // It may hang up in the middle of an oversized answer.
                let _ = peer.write_all(&answer).await;
            }
            let _ = tokio::io::copy(&mut peer, &mut tokio::io::sink()).await;
        });
        endpoint
    }

    async fn call(endpoint: &Endpoint, deadline: Duration) -> CallError {
        let device = Device::new("session-1", ed25519_dalek::SigningKey::from_bytes(&[1; 32]));
        let request = device.sign(&Command::new("a", "").unwrap());
        let dialect = Dialect::new(Protocol::Connect, Codec::Json);
        Client::new(deadline).call(endpoint, dialect, &request).await.unwrap_err()
    }

    #[tokio::test]
    async fn a_silent_gateway_is_given_up_on() {
        let endpoint = server(None).await;
        let fault = call(&endpoint, Duration::from_millis(20)).await;
        assert!(matches!(fault, CallError::Deadline(_)), "{fault}");
    }

    #[tokio::test]
    async fn an_endless_answer_is_cut_at_the_limit() {
        let mut answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", ANSWER_BYTES_MAX + 1).into_bytes();
        answer.resize(answer.len() + ANSWER_BYTES_MAX + 1, b' ');
        let fault = call(&server(Some(answer)).await, DEADLINE).await;
        assert!(matches!(&fault, CallError::Malformed(what) if what.contains("limit")), "{fault}");
    }

    #[tokio::test]
    async fn a_closed_port_says_so() {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let fault = call(&format!("http://{port}").parse().unwrap(), DEADLINE).await;
        assert!(matches!(&fault, CallError::Unreachable(what) if what.contains("refused")), "{fault}");
    }
}
