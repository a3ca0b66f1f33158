//! How a connection is made, watched and closed.

use super::{body::Outgoing, causes, link::Link};
use crate::upstream::{
    Endpoint, FaultKind, Unreached, UpstreamOptions,
    liveness::{self, PING_ANSWER, PING_EVERY},
};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{MissedTickBehavior, interval, sleep, timeout},
};

/// How much of an answer a peer may send ahead of whoever reads it. It is what a caller that does not read costs; with
/// a round trip of 1 ms it is 64 MB/s for each stream.
const STREAM_WINDOW: u32 = 64 << 10;

/// The most that there can be (RFC 9113 section 6.9.1): unread answers of some streams must not use up what the others
/// need. h2 0.4 ends a connection whose unread DATA frames are many and small, and derives from this number how many
/// that is: 1,024 streams may each leave their whole window unread where frames have 16 bytes or more.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

/// How much of a request's body is kept for a peer that does not read it, beside the piece that exceeds it.
const SEND_BUFFER_MAX: usize = 64 << 10;

/// The most that the head or the trailers of a response may have, as HTTP/2 counts: as much as with HTTP/1.
const HEADERS_BYTES_MAX: u32 = 64 << 10;

/// How many cancelled streams h2 remembers, for a second each, so that what the peer sent before it knew of a
/// cancellation is ignored without another word. Its own default is 50.
const CANCELLED_MAX: usize = 1024;

/// How often it is looked whether a new connection's settings are here, of which hyper does not tell.
const SETTINGS_POLL: Duration = Duration::from_millis(1);

/// How long is waited for what.
#[derive(Debug, Clone, Copy)]
pub(in crate::upstream) struct Waits {
    /// Until a connection stands: TCP, TLS and the peer's settings.
    pub(super) connect: Duration,
    /// Until a connection without streams is closed.
    pub(super) idle: Duration,
    pub(super) ping_every: Duration,
    pub(super) ping_answer: Duration,
}

impl From<&UpstreamOptions> for Waits {
    fn from(options: &UpstreamOptions) -> Self {
        let UpstreamOptions { connect, idle_timeout: idle, .. } = *options;
        Self { connect, idle, ping_every: PING_EVERY, ping_answer: PING_ANSWER }
    }
}

/// What reads and writes a connection's requests. It ends when the connection takes no more of them.
type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Makes a connection for those who wait at an endpoint, and stays with it. It is a task of its own, so that no caller
/// that goes away takes the connection from the others.
pub(super) async fn connect(endpoint: Arc<Endpoint>) {
    let wait = endpoint.streams.waits.connect;
    let started = Instant::now();
    let late = |_| Err(Unreached::new(FaultKind::Timeout, format!("no connection in {wait:?}")));
    let (link, mut driver) = match timeout(wait, dial(&endpoint)).await.unwrap_or_else(late) {
        Ok(dialed) => dialed,
        Err(why) => {
            endpoint.unreachable(why.fault, &why);
            endpoint.streams.failed(&why);
            return;
        }
    };
    endpoint.reached();
    endpoint.connected(started.elapsed());
    endpoint.streams.joined(&endpoint, &link);
    let (of_endpoint, of_link) = (Arc::downgrade(&endpoint), Arc::downgrade(&link));
    // Only who uses the connection keeps it.
    drop((endpoint, link));
    tokio::select! {
        () = &mut driver => {}
        () = idle(&of_endpoint, &of_link) => driver.await,
    }
    if let (Some(endpoint), Some(link)) = (of_endpoint.upgrade(), of_link.upgrade()) {
        endpoint.streams.lost(&endpoint, &link);
    }
}

/// Waits until the connection has been idle for as long as it may be, and was left.
async fn idle(endpoint: &Weak<Endpoint>, link: &Weak<Link>) {
    let left = || {
        let (endpoint, link) = (endpoint.upgrade()?, link.upgrade()?);
        endpoint.streams.retire(&link)
    };
    while let Some(left) = left() {
        sleep(left).await;
    }
}

async fn dial(endpoint: &Arc<Endpoint>) -> Result<(Arc<Link>, Driver), Unreached> {
    let stream = endpoint.candidates().await?.connect(endpoint.streams.waits.connect, liveness::connect).await?;
    let shaken = match &endpoint.tls {
        None => handshake(endpoint, stream).await,
        Some(tls) => {
            let stream = tls.handshake(stream).await.map_err(|cause| Unreached::new(FaultKind::Tls, cause))?;
            handshake(endpoint, stream).await
        }
    };
    shaken.map_err(|cause| Unreached::new(FaultKind::BadAnswer, cause))
}

/// Begins HTTP/2, and waits for the peer's settings: they say how many streams it takes, and that it is HTTP/2 which
/// it speaks.
async fn handshake<T>(endpoint: &Arc<Endpoint>, io: T) -> Result<(Arc<Link>, Driver), String>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let shaken = builder(&endpoint.streams.waits).handshake::<_, Outgoing>(TokioIo::new(io)).await;
    let (sender, mut connection) = shaken.map_err(|error| causes(&error))?;
    let mut ticks = interval(SETTINGS_POLL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while connection.current_max_send_streams() == 0 {
        tokio::select! {
            _ = &mut connection => return Err("it speaks no HTTP/2, or closed the connection at once".to_owned()),
            _ = ticks.tick() => {}
        }
    }
    let allowed = Arc::new(AtomicUsize::new(connection.current_max_send_streams()));
    let link = Link::new(sender, Arc::clone(&allowed), endpoint);
    let driver = async move {
        poll_fn(|cx| {
            let polled = Pin::new(&mut connection).poll(cx);
            // The peer may change its mind; it is looked up whenever a request goes out.
            allowed.store(connection.current_max_send_streams(), Relaxed);
            // What ends a connection ends its streams, which tell their callers.
            polled.map(drop)
        })
        .await;
    };
    Ok((link, Box::pin(driver)))
}

fn builder(waits: &Waits) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        // The peer's settings put another number in its place.
        .initial_max_send_streams(0)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER_MAX)
        .max_header_list_size(HEADERS_BYTES_MAX)
        .max_concurrent_reset_streams(CANCELLED_MAX)
        // Frames for a stream that was cancelled and forgotten count as the peer's mistakes, and 1,024 of them end the
        // connection: a caller that cancels often enough could end the streams of all others.
        .max_local_error_reset_streams(None)
        .keep_alive_interval(waits.ping_every)
        .keep_alive_timeout(waits.ping_answer);
    builder
}
