//! The connection to the backend.

use crate::{
    plan::events::FeedOptions,
    upstream::{
        EndpointTls,
        liveness::{self, PING_ANSWER},
    },
};
use futures_util::{FutureExt as _, future::BoxFuture};
use http::{
    Uri,
    uri::{Authority, Scheme},
};
use hyper_util::rt::TokioIo;
use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::oneshot,
};
use tonic::transport::{Channel, Endpoint, Error};

/// What may be on its way at once. HTTP/2's own 64 KiB would have a burst wait for round trips.
const WINDOW: u32 = 1 << 20;
const HEADERS_MAX: u32 = 16 << 10;
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// A byte stream to the backend.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Where connections come from.
pub(super) trait Dial: Send + Sync {
    fn dial(&self) -> BoxFuture<'static, io::Result<Box<dyn Io>>>;
}

/// TCP, and TLS over it where it is asked for. A name is looked up each time.
pub(super) struct Tcp {
    pub(super) authority: Authority,
    pub(super) tls: Option<EndpointTls>,
}

impl Dial for Tcp {
    fn dial(&self) -> BoxFuture<'static, io::Result<Box<dyn Io>>> {
        let tls = self.tls.clone();
        let host = self.authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = self.authority.port_u16().unwrap_or(if tls.is_some() { HTTPS_PORT } else { HTTP_PORT });
        async move {
            let stream = liveness::connect((host, port)).await?;
            Ok(match tls {
                Some(tls) => Box::new(tls.handshake(stream).await.map_err(io::Error::other)?) as Box<dyn Io>,
                None => Box::new(stream),
            })
        }
        .boxed()
    }
}

/// Connects. What is returned beside the connection is told when the backend has said its first word.
///
/// # Errors
/// Where it cannot be reached in time.
pub(super) async fn connect(
    options: &FeedOptions,
    dial: &Arc<dyn Dial>,
) -> Result<(Channel, oneshot::Receiver<()>), Error> {
    let (tell, heard) = oneshot::channel();
    // tonic calls a connector again when a connection breaks; only the first is ours to hear.
    let tell = Mutex::new(Some(tell));
    let dial = Arc::clone(dial);
    let connector = tower::service_fn(move |_: Uri| {
        let tell = tell.lock().unwrap_or_else(PoisonError::into_inner).take();
        dial.dial().map(|io| Ok::<_, io::Error>(TokioIo::new(Hearing { io: io?, tell })))
    });
    // tonic connects to no `https` itself without its own TLS; what requests say is a matter of their origin.
    let scheme = if options.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
    let endpoint = Endpoint::from(address(Scheme::HTTP, &options.authority))
        .origin(address(scheme, &options.authority))
        .connect_timeout(options.connect)
        .http2_keep_alive_interval(options.ping)
        .keep_alive_timeout(PING_ANSWER)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(2 * WINDOW)
        .http2_max_header_list_size(HEADERS_MAX);
    Ok((endpoint.connect_with_connector(connector).await?, heard))
}

fn address(scheme: Scheme, authority: &Authority) -> Uri {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(scheme);
    parts.authority = Some(authority.clone());
    parts.path_and_query = Some(http::uri::PathAndQuery::from_static("/"));
    Uri::from_parts(parts).unwrap_or_default()
}

/// Tells when the first bytes have come. tonic says that it is connected before the peer has said anything.
struct Hearing {
    io: Box<dyn Io>,
    tell: Option<oneshot::Sender<()>>,
}

impl AsyncRead for Hearing {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        if buf.filled().len() > before
            && let Some(tell) = self.tell.take()
        {
            // Nobody listens any more where the stream was answered first.
            tell.send(()).ok();
        }
        polled
    }
}

impl AsyncWrite for Hearing {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
