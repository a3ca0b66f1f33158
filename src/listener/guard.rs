//! Every accepted connection: counted, told apart by listener and protocol, and ended when it stalls.

use super::{
    caps::{Caps, Shed, Slot},
    head::HeadRefusal,
    http1, http2,
    refuse::{self, Hooks, Refused},
    rules::{Bindings, ConnectionRules, ListenerRules},
    stream::GuardedStream,
    wait::{Patience, fill},
};
use async_trait::async_trait;
use pingora_core::{
    apps::{HttpServerApp, ServerApp},
    protocols::{ALPN, Ssl as _, Stream},
    server::ShutdownWatch,
};
use std::{net::SocketAddr, sync::Arc};
use tokio::time::{Instant, timeout_at};

/// Stands between the sockets and an HTTP application, in production Pingora's `HttpProxy`.
pub struct Guard<P> {
    app: Arc<P>,
    bindings: Arc<Bindings>,
    connections: ConnectionRules,
    caps: Arc<Caps>,
    hooks: Arc<dyn Hooks>,
}

/// One connection, as far as it is known before its first request.
pub(super) struct Connection<'a> {
    pub(super) peer: SocketAddr,
    pub(super) rules: &'a ListenerRules,
}

enum Protocol {
    Http1,
    Http2,
}

impl<P> Guard<P> {
    /// Guards `app` on the listeners of `bindings`.
    pub fn new(
        app: P,
        bindings: Arc<Bindings>,
        connections: ConnectionRules,
        caps: Arc<Caps>,
        hooks: Arc<dyn Hooks>,
    ) -> Self {
        Self { app: Arc::new(app), bindings, connections, caps, hooks }
    }

    pub(super) fn app(&self) -> &Arc<P> {
        &self.app
    }

    pub(super) fn rules(&self) -> &ConnectionRules {
        &self.connections
    }

    pub(super) async fn refuse(&self, connection: &Connection<'_>, stream: &mut GuardedStream, refusal: &HeadRefusal) {
        let request_id = self.hooks.request_id();
        let listener = &connection.rules.name;
        self.hooks.refused(&Refused { listener, peer: connection.peer, request_id: &request_id, refusal });
        let answer = match connection.rules.http1 {
            true => refuse::render(refusal, &request_id),
            false => http2::no_preface(),
        };
        refuse::last_words(stream, &answer, self.connections.write).await;
    }

    /// Counts a connection. Those of a trusted proxy are those of all its clients: only the cap over all holds them.
    fn count(&self, listener: &str, peer: SocketAddr) -> Option<Slot> {
        let is_proxy = self.hooks.is_trusted(listener, peer.ip());
        let counted = if is_proxy { self.caps.admit_proxy() } else { self.caps.admit(peer.ip()) };
        let cap = match counted {
            Ok(slot) => return Some(slot),
            Err(Shed::Total) => "connections.max",
            Err(Shed::PerIp) => "connections.per_ip",
        };
        tracing::warn!(listener, %peer, cap, "a connection was closed at the door: as many as may be are open");
        None
    }

    /// The listener's rules, and the connection behind the guard with its TLS up. `None` ends it without a word.
    async fn admit(&self, stream: Stream, deadline: Instant) -> Option<(Connection<'_>, Box<GuardedStream>)> {
        let digest = stream.get_socket_digest()?;
        let local = digest.local_addr()?.as_inet()?;
        let peer = *digest.peer_addr()?.as_inet()?;
        let id = self.bindings.by_local_addr(local)?;
        let rules = self.bindings.rules(id)?;
        // Before the handshake: a connection that never finishes it is counted like any other.
        let slot = if rules.counted { Some(self.count(&rules.name, peer)?) } else { None };
        let stream = match &rules.tls {
            Some(tls) => Box::pin(timeout_at(deadline, tls.handshake(stream))).await.ok()??,
            None => stream,
        };
        Some((Connection { peer, rules }, Box::new(GuardedStream::new(stream, id, slot))))
    }
}

impl<P> Guard<P>
where
    P: HttpServerApp + Send + Sync + 'static,
{
    /// Serves a connection until it ends.
    async fn serve(&self, stream: Stream, shutdown: &ShutdownWatch) {
        let accepted = Instant::now();
        let deadline = accepted + self.connections.head_deadline;
        let Some((connection, mut stream)) = Box::pin(self.admit(stream, deadline)).await else { return };
        let mut patience = Patience::new(shutdown);
        match detect(connection.rules, &mut stream, deadline, &mut patience).await {
            Some(Protocol::Http2) => http2::serve(self, &connection, stream, deadline, patience, shutdown).await,
            Some(Protocol::Http1) if connection.rules.http1 => {
                http1::serve(self, &connection, stream, accepted, patience, shutdown).await;
            }
            Some(Protocol::Http1) => {
                let refusal = HeadRefusal::version(http2::ONLY);
                self.refuse(&connection, &mut stream, &refusal).await;
            }
            None => {}
        }
    }
}

/// What the client speaks; `None` where it went or stalled before that was clear.
async fn detect(
    rules: &ListenerRules,
    stream: &mut GuardedStream,
    deadline: Instant,
    patience: &mut Patience,
) -> Option<Protocol> {
    if rules.tls.is_some() {
        let is_http2 = matches!(stream.selected_alpn_proto(), Some(ALPN::H2));
        return Some(if is_http2 { Protocol::Http2 } else { Protocol::Http1 });
    }
    if !rules.http2 {
        return Some(Protocol::Http1);
    }
    let wait = deadline.saturating_duration_since(Instant::now());
    if !patience.begun(stream, wait).await {
        return None;
    }
    loop {
        match http2::is_preface(stream.ahead()) {
            Some(true) => return Some(Protocol::Http2),
            Some(false) => return Some(Protocol::Http1),
            None => {}
        }
        match timeout_at(deadline, fill(stream)).await {
            Ok(0) => return None,
            Ok(_) => {}
            // `P` alone may have become a POST: HTTP/1 says that its head did not arrive in time.
            Err(_) => return Some(Protocol::Http1),
        }
    }
}

#[async_trait]
impl<P> ServerApp for Guard<P>
where
    P: HttpServerApp + Send + Sync + 'static,
{
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let (guard, shutdown) = (Arc::clone(self), shutdown.clone());
        // Pingora 0.9.1 calls from a task that has room for every kind of handshake: 9 KiB, held by each connection for
        // as long as this is waited for.
        tokio::spawn(async move { guard.serve(stream, &shutdown).await });
        None
    }

    async fn cleanup(&self) {
        self.app.http_cleanup().await;
    }
}
