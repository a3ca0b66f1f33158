//! HTTP/1.1 and HTTP/2 towards the gateway, over kept connections.

use super::{Answer, CallError, Dialect, HttpVersion, Trust};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, uri::PathAndQuery};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use proto::edge::v1::ExecuteCommandRequest;
use std::{error::Error, str::FromStr, time::Duration};

const ANSWER_BYTES_MAX: usize = 4 << 20;

const DEADLINE: Duration = Duration::from_secs(10);

const EXECUTE_COMMAND: &str = "/edge.v1.Gateway/ExecuteCommand";

/// Where a gateway listens: `http://host:port` or `https://host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(Uri);

/// Why a text is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no gateway address: write http://host:port or https://host:port, without a path")]
pub struct EndpointFault(String);

impl FromStr for Endpoint {
    type Err = EndpointFault;

    fn from_str(text: &str) -> Result<Self, EndpointFault> {
        let fault = || EndpointFault(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| fault())?;
        let bare = uri.path_and_query().is_none_or(|path| path == "/");
        if matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty()) && bare
        {
            return Ok(Self(uri));
        }
        Err(fault())
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let authority = self.0.authority().map_or("", |authority| authority.as_str());
        write!(f, "{}://{authority}", self.0.scheme_str().unwrap_or_default())
    }
}

impl Endpoint {
    /// Whether connections to it are encrypted.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }

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
    http1: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    http2: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    pub(super) deadline: Duration,
}

impl Default for Client {
    fn default() -> Self {
        Self::new(DEADLINE, &Trust::nobody())
    }
}

impl Client {
    /// A client each of whose calls may take at most `deadline`, from the connect to the last byte.
    #[must_use]
    pub fn new(deadline: Duration, trust: &Trust) -> Self {
        let tls = || HttpsConnectorBuilder::new().with_tls_config(trust.config()).https_or_http();
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        // The TLS layer above it decides on the scheme.
        tcp.enforce_http(false);
        let build = |http2_only, connector| {
            let mut builder = legacy::Client::builder(TokioExecutor::new());
            builder.pool_timer(TokioTimer::new()).http2_only(http2_only).build(connector)
        };
        Self {
            http1: build(false, tls().enable_http1().wrap_connector(tcp.clone())),
            http2: build(true, tls().enable_http2().wrap_connector(tcp)),
            deadline,
        }
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
        let answered = async { read(self.request(version, request).await?).await };
        tokio::time::timeout(self.deadline, answered).await.map_err(|_| CallError::Deadline(self.deadline))?
    }

    /// The head of the answer to a POST, with its body to be read.
    pub(super) async fn post(
        &self,
        endpoint: &Endpoint,
        version: HttpVersion,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<Incoming>, CallError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = endpoint.at(path)?;
        *request.headers_mut() = headers;
        self.request(version, request).await
    }

    async fn request(
        &self,
        version: HttpVersion,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, CallError> {
        let client = match version {
            HttpVersion::Http1 => &self.http1,
            HttpVersion::Http2 => &self.http2,
        };
        client.request(request).await.map_err(|fault| CallError::Unreachable(causes(&fault)))
    }
}

pub(super) async fn read(response: Response<Incoming>) -> Result<Reply, CallError> {
    let (head, body) = response.into_parts();
    let collected = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    let collected = collected.map_err(|fault| CallError::Malformed(causes(fault.as_ref())))?;
    let trailers = collected.trailers().cloned().unwrap_or_default();
    Ok(Reply { status: head.status, headers: head.headers, body: collected.to_bytes(), trailers })
}

/// A fault with everything beneath it: hyper's own words alone are "client error (Connect)".
pub(super) fn causes(fault: &(dyn Error + 'static)) -> String {
    let all = std::iter::successors(Some(fault), |&fault| fault.source());
    all.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests;
