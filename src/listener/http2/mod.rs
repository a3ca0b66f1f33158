//! HTTP/2: the handshake has a deadline, and a connection on which nothing goes on ends.

mod active;
mod preface;
mod session;

pub use active::{Serving, note_malformed, serving, take_exit};
pub(super) use preface::{ONLY, PREFACE, is_preface, no_preface};

use super::{
    guard::{Connection, Guard},
    parting::{Parting, Traffic},
    rules::{ConnectionRules, ListenerRules},
    stream::GuardedStream,
    wait::Patience,
};
use active::{Active, SERVED, Served};
use bytes::Bytes;
use h2::{Reason, RecvStream, server::SendResponse};
use pingora_core::{
    apps::HttpServerApp,
    protocols::{
        Digest, GetProxyDigest as _, GetSocketDigest as _, GetTimingDigest as _, Ssl as _, Stream,
        http::{
            ServerSession,
            v2::server::{H2Options, default_h2_options, handshake},
        },
    },
    server::ShutdownWatch,
};
use session::Session;
use std::{future::poll_fn, mem, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout, timeout_at};

/// How long a connection that was told to end may go on without a stream and without a move: a round trip, for what
/// crosses the GOAWAY.
const GOODBYE: Duration = Duration::from_secs(1);
/// Requests that are turned away on a connection that was told to end for its malformed ones, before it is cut.
const TURNED_AWAY_MAX: usize = 1024;
/// Body bytes that a client may send ahead of reading, per stream and per connection. The second is what a connection
/// can make the gateway hold; that it is more than the first keeps one upload which stalls from stopping all others. A
/// window is credit, and costs nothing until it is used.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 2 << 20;
/// What is held of one stream's answer while the client does not read.
const SEND_BUFFER: usize = 64 << 10;
/// Streams that a client opened and took back at once, and which we have not seen (rapid reset, CVE-2023-44487).
const RESETS_PENDING_MAX: usize = 20;
/// Streams that h2 resets for a client's faults, over the connection's life (MadeYouReset, CVE-2025-8671). h2 forgives
/// none of them, so this is wide.
const RESETS_OF_OURS_MAX: usize = 1024;
/// h2 answers a head that is over its limit with a bare 431. One that is over the listener's limit, but not over so many
/// of it, is read and refused like any other. Beyond `READ_BYTES` it would take a path for malformed, and reset the
/// stream.
const READ_HEADS: usize = 4;
const READ_BYTES: usize = u16::MAX as usize - 1;

type H2 = h2::server::Connection<Stream, Bytes>;
type Accepted = Option<Result<(http::Request<RecvStream>, SendResponse<Bytes>), h2::Error>>;

fn options(rules: &ListenerRules) -> H2Options {
    let mut options = default_h2_options();
    let bytes_max = rules.head.bytes_max;
    let read = bytes_max.saturating_mul(READ_HEADS).min(READ_BYTES).max(bytes_max);
    let head_bytes = u32::try_from(read).unwrap_or(u32::MAX);
    options
        .max_concurrent_streams(rules.streams_max)
        .max_header_list_size(head_bytes)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(RESETS_PENDING_MAX)
        .max_local_error_reset_streams(Some(RESETS_OF_OURS_MAX));
    options
}

/// Serves a connection until it ends.
pub(super) async fn serve<P>(
    guard: &Guard<P>,
    connection: &Connection<'_>,
    mut stream: Box<GuardedStream>,
    deadline: Instant,
    mut patience: Patience,
    shutdown: &ShutdownWatch,
) where
    P: HttpServerApp + Send + Sync + 'static,
{
    let traffic = stream.open();
    let mut parting = Parting::new(Arc::clone(&traffic));
    let digest = digest(&stream);
    let stream: Stream = stream;
    let Ok(Ok(mut h2)) = timeout_at(deadline, handshake(stream, Some(options(connection.rules)))).await else {
        return;
    };
    let rules = guard.rules();
    let active = Arc::new(Active::default());
    let (mut turned_away, mut broken) = (0, Vec::new());
    // Clients take a GOAWAY well between two requests; some fail where it comes ahead of the first (hyper-util 0.1).
    let mut first_awaited = Some(Instant::now());
    loop {
        let accepted = tokio::select! {
            biased;
            () = patience.stopped(first_awaited), if !parting.has_begun() => {
                h2.graceful_shutdown();
                parting.begin();
                continue;
            }
            accepted = next(&mut h2, &active, &traffic, &mut broken) => accepted,
            () = active.called() => {
                if active.is_fed_up() && !parting.has_begun() {
                    h2.graceful_shutdown();
                    parting.begin();
                }
                continue;
            }
            () = active.idle(if parting.has_begun() { GOODBYE } else { rules.keepalive }) => {
                if !parting.has_begun() {
                    // A request that is under way crosses the GOAWAY, and is served.
                    h2.graceful_shutdown();
                    parting.begin();
                } else if !parting.goes_on(rules.write) {
                    // The client does not answer our GOAWAY, or not in time.
                    return leave(h2).await;
                }
                continue;
            }
        };
        let Some(Ok((request, mut respond))) = accepted else { return };
        parting.put_off();
        first_awaited = None;
        if parting.has_begun() && active.is_fed_up() {
            respond.send_reset(Reason::REFUSED_STREAM);
            turned_away += 1;
            if turned_away > TURNED_AWAY_MAX {
                h2.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
            }
            continue;
        }
        let session = Session::new(request, respond, Arc::clone(&digest), Arc::clone(&active));
        spawn(guard, session, Served::new(active.begin()), shutdown);
    }
}

/// Drives the connection until a stream is opened or it ends. Streams that were broken off are reset as soon as what was
/// written of them is sent.
async fn next(h2: &mut H2, active: &Active, traffic: &Traffic, broken: &mut Vec<SendResponse<Bytes>>) -> Accepted {
    poll_fn(|cx| {
        broken.append(&mut active.take_broken());
        let polled = h2.poll_accept(cx);
        if !broken.is_empty() && !traffic.is_blocked() {
            active::reset(mem::take(broken));
        }
        polled
    })
    .await
}

/// Ends a connection whose client did not answer the GOAWAY: another says which stream was the last.
async fn leave(mut h2: H2) {
    h2.abrupt_shutdown(Reason::NO_ERROR);
    // A stream that is opened now is none that was served.
    let _ = timeout(GOODBYE, async { while let Some(Ok(_)) = h2.accept().await {} }).await;
}

fn digest(stream: &GuardedStream) -> Arc<Digest> {
    Arc::new(Digest {
        ssl_digest: stream.get_ssl_digest(),
        timing_digest: stream.get_timing_digest(),
        proxy_digest: stream.get_proxy_digest(),
        socket_digest: stream.get_socket_digest(),
    })
}

fn spawn<P>(guard: &Guard<P>, session: Session, served: Served, shutdown: &ShutdownWatch)
where
    P: HttpServerApp + Send + Sync + 'static,
{
    let ConnectionRules { write, drain, .. } = *guard.rules();
    let mut session = ServerSession::new_custom(Box::new(session));
    session.set_write_timeout(Some(write));
    session.set_total_drain_timeout(Some(drain));
    let app = Arc::clone(guard.app());
    let shutdown = shutdown.clone();
    // Its own task: a stream must not wait for another one's handler, nor end with the connection unlogged.
    tokio::spawn(SERVED.scope(served, async move {
        app.process_new_http(session, &shutdown).await;
    }));
}
