//! A backend that pushes what a test says.

use super::{PATIENCE, eventually};
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
use tokio::{net::TcpListener, sync::mpsc, time::timeout};
use tonic::{Request, Response, Status};
use tower::Service as _;

type Pushed = Result<PushEvent, Status>;

#[derive(Default)]
struct State {
    asked: Vec<SubscribePushRequest>,
    stream: Option<mpsc::UnboundedSender<Pushed>>,
}

#[derive(Clone, Default)]
struct Scripted(Arc<Mutex<State>>);

#[async_trait::async_trait]
impl Push for Scripted {
    type SubscribePushStream = Pin<Box<dyn Stream<Item = Pushed> + Send>>;

    async fn subscribe_push(
        &self,
        request: Request<SubscribePushRequest>,
    ) -> Result<Response<Self::SubscribePushStream>, Status> {
        let (send, receive) = mpsc::unbounded_channel();
        let mut state = self.0.lock().unwrap();
        state.asked.push(request.into_inner());
        state.stream = Some(send);
        let pushed = stream::unfold(receive, async |mut receive| Some((receive.recv().await?, receive)));
        Ok(Response::new(Box::pin(pushed)))
    }
}

/// It serves SubscribePush as long as it lives.
pub struct PushBackend {
    pub address: SocketAddr,
    state: Scripted,
    server: tokio::task::AbortHandle,
}

impl PushBackend {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let state = Scripted::default();
        let server = tokio::spawn(serve(listener, PushServer::new(state.clone()))).abort_handle();
        Self { address, state, server }
    }

    /// What the gateway asked for, each time.
    pub fn asked(&self) -> Vec<SubscribePushRequest> {
        self.state.0.lock().unwrap().asked.clone()
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

    /// Ends the stream of the gateway, which comes back.
    pub fn cut(&self) {
        self.state.0.lock().unwrap().stream = None;
    }

    fn push(&self, kind: Kind, cursor: &str) {
        let event = PushEvent { kind: Some(kind), cursor: cursor.to_owned() };
        let stream = eventually("the gateway's stream", || self.state.0.lock().unwrap().stream.clone());
        stream.send(Ok(event)).expect("the gateway listens");
    }
}

impl Drop for PushBackend {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, server: PushServer<Scripted>) {
    while let Ok((stream, _)) = listener.accept().await {
        let server = server.clone();
        let service = service_fn(move |request| server.clone().call(request));
        tokio::spawn(http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service));
    }
}

/// Waits for what must come.
pub async fn arrival<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} did not come"))
}
