//! HTTP/1: head by head, each read and checked before Pingora sees a byte of it.

use super::{
    guard::{Connection, Guard},
    head::{HeadReader, HeadRefusal},
    stream::GuardedStream,
    wait::{Patience, fill},
};
use pingora_core::{
    apps::{HttpPersistentSettings, HttpServerApp},
    protocols::http::ServerSession,
    server::ShutdownWatch,
};
use tokio::time::{Instant, timeout_at};

/// How the wait for a request ended.
enum Arrival {
    /// Its head is whole and stands at the stream's front.
    Request,
    /// The connection ended, or nothing came in time.
    Nothing,
    Refused(HeadRefusal),
}

/// Serves a connection until it ends. `accepted` is when it was accepted.
pub(super) async fn serve<P>(
    guard: &Guard<P>,
    connection: &Connection<'_>,
    mut stream: Box<GuardedStream>,
    accepted: Instant,
    mut patience: Patience,
    shutdown: &ShutdownWatch,
) where
    P: HttpServerApp + Send + Sync + 'static,
{
    let rules = guard.rules();
    let mut settings: Option<HttpPersistentSettings> = None;
    let mut head_deadline = Some(accepted + rules.head_deadline);
    let remains = stream.remains();
    stream.limit_writes(rules.write);
    loop {
        match arrival(guard, connection, &mut stream, head_deadline.take(), &mut patience).await {
            Arrival::Request => {}
            Arrival::Nothing => return,
            Arrival::Refused(refusal) => return guard.refuse(connection, &mut stream, &refusal).await,
        }
        let session = open(guard, stream, settings.take(), shutdown);
        let Some(reused) = guard.app().process_new_http(session, shutdown).await else {
            // Boxed: every connection has room for what it waits for.
            return Box::pin(remains.settle(rules.write)).await;
        };
        let (inner, kept) = reused.consume();
        let Ok(returned) = inner.into_any().downcast::<GuardedStream>() else { return };
        (stream, settings) = (returned, kept);
        // A body that was not read to its end would be taken for the next request.
        if !stream.is_between_requests() {
            return;
        }
    }
}

/// Waits for the next request. Without `deadline` it is one on a reused connection: it may be idle for the
/// keep-alive time, and its head deadline starts with its first byte.
async fn arrival<P>(
    guard: &Guard<P>,
    connection: &Connection<'_>,
    stream: &mut GuardedStream,
    deadline: Option<Instant>,
    patience: &mut Patience,
) -> Arrival {
    let rules = guard.rules();
    let wait = deadline.map_or(rules.keepalive, |deadline| deadline.saturating_duration_since(Instant::now()));
    if !patience.begun(stream, wait).await {
        return Arrival::Nothing;
    }
    let mut deadline = deadline;
    let mut reader = HeadReader::new(connection.rules.head);
    loop {
        match reader.read(stream.ahead()) {
            Ok(Some(head)) => {
                stream.admit(&head);
                return Arrival::Request;
            }
            Ok(None) => {}
            Err(refusal) => return Arrival::Refused(refusal),
        }
        let deadline = *deadline.get_or_insert_with(|| Instant::now() + rules.head_deadline);
        match timeout_at(deadline, fill(stream)).await {
            Ok(0) => return Arrival::Nothing,
            Ok(_) => {}
            Err(_) => return Arrival::Refused(HeadRefusal::timeout()),
        }
    }
}

fn open<P>(
    guard: &Guard<P>,
    stream: Box<GuardedStream>,
    settings: Option<HttpPersistentSettings>,
    shutdown: &ShutdownWatch,
) -> ServerSession
where
    P: HttpServerApp,
{
    let rules = guard.rules();
    let mut session = ServerSession::new_http1(stream);
    match settings {
        Some(settings) => settings.apply_to_session(&mut session),
        None => {
            let limit = guard.app().server_options().and_then(|options| options.keepalive_request_limit);
            session.set_keepalive_reuses_remaining(limit);
        }
    }
    // Seconds do not matter: the guard keeps the idle time. 0 is "without end" to Pingora.
    session.set_keepalive((!*shutdown.borrow()).then_some(0));
    session.set_read_timeout(Some(rules.body_idle));
    // The stream limits them.
    session.set_write_timeout(None);
    session.set_total_drain_timeout(Some(rules.drain));
    session
}
