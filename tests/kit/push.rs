//! A backend that pushes what a test says, to as many gateways as there are.

use super::{PATIENCE, authority::Vouched};
use futures_util::{Stream, stream};
use hyper::{server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use proto::push::v1::{
    ClientEvent, PushEvent, SessionInvalidation, SubscribePushRequest,
    push_event::Kind,
    push_server::{Push, PushServer},
};
use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::watch,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tonic::{Request, Response, Status};
use tower::Service as _;

#[derive(Default)]
struct State {
    asked: Vec<SubscribePushRequest>,
    pushed: Vec<PushEvent>,
    /// How often all streams were ended.
    cuts: usize,
}

#[derive(Clone)]
struct Log {
    state: Arc<Mutex<State>>,
    changed: watch::Sender<()>,
}

/// A gateway's stream, and where it is in the log.
struct Reading {
    log: Log,
    changed: watch::Receiver<()>,
    at: usize,
    cuts: usize,
}

impl Reading {
    async fn next(&mut self) -> Option<PushEvent> {
        loop {
            {
                let state = self.log.state.lock().unwrap();
                if state.cuts > self.cuts {
                    return None;
                }
                if let Some(pushed) = state.pushed.get(self.at) {
                    self.at += 1;
                    return Some(pushed.clone());
                }
            }
            self.changed.changed().await.ok()?;
        }
    }
}

#[async_trait::async_trait]
impl Push for Log {
    type SubscribePushStream = Pin<Box<dyn Stream<Item = Result<PushEvent, Status>> + Send>>;

    async fn subscribe_push(
        &self,
        request: Request<SubscribePushRequest>,
    ) -> Result<Response<Self::SubscribePushStream>, Status> {
        let request = request.into_inner();
        let mut state = self.state.lock().unwrap();
        let at = match request.cursor.as_str() {
            "" => state.pushed.len(),
            cursor => {
                let known = state.pushed.iter().rposition(|pushed| pushed.cursor == cursor);
                known.ok_or_else(|| Status::out_of_range("no such cursor"))? + 1
            }
        };
        state.asked.push(request);
        let reading = Reading { log: self.clone(), changed: self.changed.subscribe(), at, cuts: state.cuts };
        let pushed = stream::unfold(reading, async |mut reading| Some((Ok(reading.next().await?), reading)));
        Ok(Response::new(Box::pin(pushed)))
    }
}

/// It serves SubscribePush as long as it lives, and forgets nothing.
pub struct PushBackend {
    pub address: SocketAddr,
    log: Log,
    server: tokio::task::AbortHandle,
}

impl PushBackend {
    pub async fn start() -> Self {
        Self::listen(None).await
    }

    pub async fn start_tls(vouched: &Vouched) -> Self {
        Self::listen(Some(vouched.acceptor())).await
    }

    async fn listen(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let log = Log { state: Arc::default(), changed: watch::Sender::new(()) };
        let server = tokio::spawn(accept(listener, tls, PushServer::new(log.clone()))).abort_handle();
        Self { address, log, server }
    }

    /// What the gateways asked for, each time.
    pub fn asked(&self) -> Vec<SubscribePushRequest> {
        self.log.state.lock().unwrap().asked.clone()
    }

    /// An event for a user, or with an empty name for everybody.
    pub fn event(&self, user_id: &str, kind: &str, payload: &str, cursor: &str) {
        self.push(
            Kind::ClientEvent(ClientEvent {
                user_id: user_id.to_owned(),
                kind: kind.to_owned(),
                payload: payload.to_owned().into(),
                event_id: format!("event-{cursor}"),
                timestamp_ms: 1_700_000_000_000,
                ..ClientEvent::default()
            }),
            cursor,
        );
    }

    /// Ends a device session.
    pub fn revoke(&self, device_session_id: &str, cursor: &str) {
        let device_session_id = device_session_id.to_owned();
        self.push(Kind::SessionInvalidation(SessionInvalidation { device_session_id, ..Default::default() }), cursor);
    }

    /// Ends the streams of the gateways, which come back.
    pub fn cut(&self) {
        self.log.state.lock().unwrap().cuts += 1;
        self.log.changed.send_replace(());
    }

    fn push(&self, kind: Kind, cursor: &str) {
        self.log.state.lock().unwrap().pushed.push(PushEvent { kind: Some(kind), cursor: cursor.to_owned() });
        self.log.changed.send_replace(());
    }
}

impl Drop for PushBackend {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, server: PushServer<Log>) {
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).expect("an open socket");
        let (server, tls) = (server.clone(), tls.clone());
        tokio::spawn(async move {
            let Some(tls) = tls else { return serve(stream, server).await };
            // Whoever does not trust the certificate goes away.
            if let Ok(stream) = tls.accept(stream).await {
                serve(stream, server).await;
            }
        });
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, server: PushServer<Log>) {
    let service = service_fn(move |request| server.clone().call(request));
    // The gateway closes the connection when it has no use for it.
    http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await.ok();
}

/// Waits for what must come.
pub async fn arrival<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} did not come"))
}
