//! The stand-in backend: what CONTRACT sections 4 and 5 ask of one, in this process, on loopback, in memory.
//!
//! It keeps nothing beyond its own life and the newest entries of each kind, so it can stay up.

mod bounded;
mod push;
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
use push::Journal;
use reply::Failure;
use state::State;
use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
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

/// Events that a gateway may have missed and still gets.
const EVENTS_MAX: usize = 1_024;

/// What the backend would have sent by e-mail.
pub type Mailbox = mpsc::Receiver<Mail>;

/// The running backend. It ends when this is dropped or [stopped](Self::stop).
#[derive(Debug)]
pub struct Backend {
    address: SocketAddr,
    push_address: SocketAddr,
    state: Arc<State>,
    stop: watch::Sender<()>,
    serving: [JoinHandle<()>; 2],
}

impl Backend {
    /// Starts it on two free ports of 127.0.0.1.
    ///
    /// # Errors
    /// Where no port can be bound.
    pub async fn start() -> io::Result<(Self, Mailbox)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let push_listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, push_address) = (listener.local_addr()?, push_listener.local_addr()?);
        let (outbox, mailbox) = mpsc::channel(MAILBOX_MAX);
        let journal = Journal::new(format!("{:016x}", getrandom::u64().map_err(io::Error::other)?), EVENTS_MAX);
        let state = Arc::new(State::new(outbox, Arc::clone(&journal)));
        let (stop, stopped) = watch::channel(());
        let rest = tokio::spawn(accept(listener, Arc::clone(&state), stopped.clone()));
        let push = tokio::spawn(push::serve(push_listener, journal, stopped));
        Ok((Self { address, push_address, state, stop, serving: [rest, push] }, mailbox))
    }

    /// Where it answers over REST.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it serves `push.v1.Push`.
    #[must_use]
    pub fn push_address(&self) -> SocketAddr {
        self.push_address
    }

    /// Revokes a device session from the backend's side; false where there is none of this id.
    #[must_use]
    pub fn revoke(&self, device_session_id: &str) -> bool {
        self.state.revoke(device_session_id, "revoked by the operator").is_ok()
    }

    /// Ends it: no new connections, and what is being answered is finished.
    pub async fn stop(self) {
        drop(self.stop);
        for task in self.serving {
            // A task that has panicked has ended too.
            let _ = task.await;
        }
    }
}

async fn accept(listener: TcpListener, state: Arc<State>, mut stopped: watch::Receiver<()>) {
    let connections = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let (stream, place) = tokio::select! {
            // A dropped handle ends it too.
            _ = stopped.changed() => break,
            accepted = accept_one(&listener, &places) => accepted,
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

/// The next connection, once there is a place for it.
async fn accept_one(listener: &TcpListener, places: &Arc<Semaphore>) -> (TcpStream, OwnedSemaphorePermit) {
    let accepted = async || -> io::Result<_> {
        let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok((stream, place))
    };
    loop {
        match accepted().await {
            Ok(accepted) => return accepted,
            Err(fault) => {
                tracing::warn!(%fault, "the stand-in backend cannot accept");
                // Out of descriptors: accepting again at once would spin until one is free.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
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
