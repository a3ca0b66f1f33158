//! HTTP/2: the handshake has a deadline, and a connection on which nothing goes on ends.

use super::{
    guard::{Connection, Guard},
    parting::Parting,
    rules::{ConnectionRules, ListenerRules},
    stream::GuardedStream,
    wait::Patience,
};
use pingora_core::{
    apps::HttpServerApp,
    protocols::{
        Digest, GetProxyDigest as _, GetSocketDigest as _, GetTimingDigest as _, Ssl as _, Stream,
        http::{
            ServerSession,
            v2::server::{H2Accept, H2Options, HttpSession, default_h2_options, handshake},
        },
    },
    server::ShutdownWatch,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::AcqRel, Ordering::Acquire},
    },
    time::Duration,
};
use tokio::{
    sync::Notify,
    task_local,
    time::{Instant, sleep, timeout_at},
};

/// Malformed requests that one connection may send. Pingora counts them in its own accept loop only.
const MALFORMED_MAX: usize = 32;
/// How long a connection that was told to end may go on without a stream and without a move: a round trip, for what
/// crosses the GOAWAY.
const GOODBYE: Duration = Duration::from_secs(1);
/// Body bytes that a client may send ahead of reading, per stream and per connection.
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;
/// What is held of one stream's answer while the client does not read.
const SEND_BUFFER: usize = 64 << 10;
/// Streams that a client opened and took back at once, and which we have not seen (rapid reset, CVE-2023-44487).
const RESETS_PENDING_MAX: usize = 20;
/// Streams that we had to reset for a client's faults, over the connection's life (MadeYouReset, CVE-2025-8671).
const RESETS_OF_OURS_MAX: usize = 128;

fn options(rules: &ListenerRules) -> H2Options {
    let mut options = default_h2_options();
    let head_bytes = u32::try_from(rules.head.bytes_max).unwrap_or(u32::MAX);
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

/// Streams that are being served.
#[derive(Debug, Default)]
struct Active {
    count: AtomicUsize,
    ended: Notify,
}

/// Counts as a stream for as long as it lives.
#[derive(Debug)]
pub struct Serving(Arc<Active>);

task_local! {
    /// Of the stream that the current task serves.
    static SERVING: Serving;
}

/// Counts the current task's stream of HTTP/2 for longer than that task, where it serves one.
#[must_use]
pub fn serving() -> Option<Serving> {
    SERVING.try_with(|serving| serving.0.begin()).ok()
}

impl Active {
    fn begin(self: &Arc<Self>) -> Serving {
        self.count.fetch_add(1, AcqRel);
        Serving(Arc::clone(self))
    }

    /// Resolves when for `idle` no stream was served.
    async fn idle(&self, idle: Duration) {
        while self.count.load(Acquire) > 0 {
            // One waiter: a permit left by an earlier end only makes it look once more.
            self.ended.notified().await;
        }
        sleep(idle).await;
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, AcqRel) == 1 {
            self.0.ended.notify_one();
        }
    }
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
    let mut parting = Parting::new(stream.open());
    let digest = digest(&stream);
    let stream: Stream = stream;
    let Ok(Ok(mut h2)) = timeout_at(deadline, handshake(stream, Some(options(connection.rules)))).await else {
        return;
    };
    let rules = guard.rules();
    let active = Arc::new(Active::default());
    let mut malformed = 0;
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
            accepted = HttpSession::from_h2_conn(&mut h2, Arc::clone(&digest)) => accepted,
            () = active.idle(if parting.has_begun() { GOODBYE } else { rules.keepalive }) => {
                if !parting.has_begun() {
                    // A request that is under way crosses the GOAWAY, and is served.
                    h2.graceful_shutdown();
                    parting.begin();
                } else if !parting.goes_on(rules.write) {
                    // The client does not answer our GOAWAY, or not in time.
                    return;
                }
                continue;
            }
        };
        match accepted {
            Ok(Some(H2Accept::Session(session))) => {
                parting.put_off();
                first_awaited = None;
                spawn(guard, ServerSession::new_http2(session), active.begin(), shutdown);
            }
            Ok(Some(H2Accept::Rejected)) => {
                malformed += 1;
                if malformed >= MALFORMED_MAX {
                    return;
                }
            }
            Ok(None) | Err(_) => return,
        }
    }
}

fn digest(stream: &GuardedStream) -> Arc<Digest> {
    Arc::new(Digest {
        ssl_digest: stream.get_ssl_digest(),
        timing_digest: stream.get_timing_digest(),
        proxy_digest: stream.get_proxy_digest(),
        socket_digest: stream.get_socket_digest(),
    })
}

fn spawn<P>(guard: &Guard<P>, mut session: ServerSession, serving: Serving, shutdown: &ShutdownWatch)
where
    P: HttpServerApp + Send + Sync + 'static,
{
    let ConnectionRules { write, drain, .. } = *guard.rules();
    session.set_write_timeout(Some(write));
    session.set_total_drain_timeout(Some(drain));
    let app = Arc::clone(guard.app());
    let shutdown = shutdown.clone();
    // Its own task: a stream must not wait for another one's handler, nor end with the connection unlogged.
    tokio::spawn(SERVING.scope(serving, async move {
        app.process_new_http(session, &shutdown).await;
    }));
}

/// What a client is told that speaks something else where only HTTP/2 is spoken.
pub(super) const ONLY: &str = "only HTTP/2 is spoken here";
/// Type and flags, the stream 0, then the last stream that was taken, which is none, and the error (RFC 9113 section 6.8).
const GOAWAY_PROTOCOL_ERROR: &[u8] = b"\x07\0\0\0\0\0\0\0\0\0\0\0\0\x01";

/// The answer to what is no preface, where no other protocol is spoken: a connection error (RFC 9113 section 3.4),
/// after the SETTINGS with which a server must begin. Whoever asked by hand reads why.
pub(super) fn no_preface() -> Vec<u8> {
    const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
    // Last stream and error have 4 bytes each.
    let length = [0, 0, 8 + ONLY.len() as u8];
    [SETTINGS, &length, GOAWAY_PROTOCOL_ERROR, ONLY.as_bytes()].concat()
}

/// A connection preface (RFC 9113 section 3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Whether `bytes` begin HTTP/2 with prior knowledge; `None` while that is open. The first byte that differs from
/// the preface decides, so a short HTTP/1 request is never waited on.
pub(super) fn is_preface(bytes: &[u8]) -> Option<bool> {
    if bytes.len() >= PREFACE.len() {
        return Some(bytes.starts_with(PREFACE));
    }
    if PREFACE.starts_with(bytes) { None } else { Some(false) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_that_differs_decides() {
        for (bytes, expected) in [
            (&b""[..], None),
            (b"P", None),
            (b"G", Some(false)),
            (b"PO", Some(false)),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r", None),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Some(true)),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0", Some(true)),
            (b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", Some(false)),
        ] {
            assert_eq!(is_preface(bytes), expected, "{}", bytes.escape_ascii());
        }
    }
}
