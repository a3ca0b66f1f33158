//! The stand-in backend: what CONTRACT section 4 asks of one, in this process, on loopback, in memory.
//!
//! It keeps nothing beyond its own life and the newest entries of each kind, so it can stay up.

mod bounded;
mod reply;
mod routes;
mod state;

pub use state::Mail;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use reply::Failure;
use state::State;
use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, mpsc, oneshot},
    task::JoinHandle,
};

const BODY_BYTES_MAX: usize = 64 << 10;

const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// Longer than a gateway keeps an idle connection, so that it is the gateway who closes: hyper holds an idle
/// connection to the same time as an unfinished head.
const IDLE: Duration = Duration::from_secs(75);

const CONNECTIONS_MAX: usize = 1_024;

/// How long an answer that is being written may keep [`Backend::stop`] waiting.
const STOP_DEADLINE: Duration = Duration::from_secs(2);

/// Mails that nobody took out of the box; further ones are lost, as mails are.
const MAILBOX_MAX: usize = 64;

/// What the backend would have sent by e-mail.
pub type Mailbox = mpsc::Receiver<Mail>;

/// The running backend. It ends when this is dropped or [stopped](Self::stop).
#[derive(Debug)]
pub struct Backend {
    address: SocketAddr,
    state: Arc<State>,
    stop: oneshot::Sender<()>,
    accepting: JoinHandle<()>,
}

impl Backend {
    /// Starts it on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// Where no port can be bound.
    pub async fn start() -> io::Result<(Self, Mailbox)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (outbox, mailbox) = mpsc::channel(MAILBOX_MAX);
        let state = Arc::new(State::new(outbox));
        let (stop, stopped) = oneshot::channel();
        let accepting = tokio::spawn(accept(listener, Arc::clone(&state), stopped));
        Ok((Self { address, state, stop, accepting }, mailbox))
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Revokes a device session from the backend's side; false where there is none of this id.
    #[must_use]
    pub fn revoke(&self, device_session_id: &str) -> bool {
        self.state.revoke(device_session_id).is_ok()
    }

    /// Ends it: no new connections, and what is being answered is finished.
    pub async fn stop(self) {
        // Both fail only where the task is gone already.
        let _ = self.stop.send(());
        let _ = self.accepting.await;
    }
}

async fn accept(listener: TcpListener, state: Arc<State>, mut stopped: oneshot::Receiver<()>) {
    let connections = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let (stream, place) = tokio::select! {
            // A dropped handle ends it too.
            _ = &mut stopped => break,
            accepted = accept_one(&listener, &places) => match accepted {
                Ok(accepted) => accepted,
                Err(fault) => {
                    tracing::warn!(%fault, "the stand-in backend cannot accept");
                    // Out of descriptors: accepting again at once would spin until one is free.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        let state = Arc::clone(&state);
        let service = service_fn(move |request| serve(Arc::clone(&state), request));
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(IDLE);
        let connection = connections.watch(builder.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            if let Err(fault) = connection.await {
                tracing::debug!(%fault, "a connection to the stand-in backend broke");
            }
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(STOP_DEADLINE, connections.shutdown()).await.is_err() {
        tracing::warn!("the stand-in backend stopped with answers unfinished");
    }
}

async fn accept_one(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(tokio::net::TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, place))
}

async fn serve(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = tokio::time::timeout(BODY_DEADLINE, Limited::new(body, BODY_BYTES_MAX).collect()).await;
    let replied = match body {
        Ok(Ok(body)) => routes::reply(&state, &Request::from_parts(head, body.to_bytes())),
        Ok(Err(_)) => Err(Failure::new(413, "body.too_large", "The body is over 64 KiB or broke off")),
        Err(_) => Err(Failure::new(408, "body.too_slow", "The body did not arrive in time")),
    };
    Ok(replied.unwrap_or_else(Failure::into_reply).into_response())
}

#[cfg(test)]
mod tests;
