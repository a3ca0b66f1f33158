//! A backend that does what a test says, over pipes: time can stand still beside it.

use super::*;
use futures_util::{Stream, stream};
use http::{Request, Response as HttpResponse};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use proto::push::v1::push_server::{Push, PushServer};
use std::{io, pin::Pin, sync::Mutex};
use tokio::{
    sync::{mpsc, watch},
    task::AbortHandle,
};

type Pushed = Result<PushEvent, Status>;
type Reply = Result<mpsc::Receiver<Pushed>, Status>;

/// A subscription that waits for its answer.
pub(super) struct Asked {
    pub(super) request: SubscribePushRequest,
    reply: oneshot::Sender<Reply>,
}

impl Asked {
    /// Opens the stream.
    pub(super) fn open(self) -> mpsc::Sender<Pushed> {
        let (send, receive) = mpsc::channel(1 << 16);
        self.reply.send(Ok(receive)).unwrap_or_else(|_| panic!("the feed has gone"));
        send
    }

    pub(super) fn refuse(self, status: Status) {
        self.reply.send(Err(status)).unwrap_or_else(|_| panic!("the feed has gone"));
    }
}

struct Scripted(mpsc::UnboundedSender<Asked>);

#[async_trait::async_trait]
impl Push for Scripted {
    type SubscribePushStream = Pin<Box<dyn Stream<Item = Pushed> + Send>>;

    async fn subscribe_push(
        &self,
        request: tonic::Request<SubscribePushRequest>,
    ) -> Result<Response<Self::SubscribePushStream>, Status> {
        let (reply, replied) = oneshot::channel();
        self.0.send(Asked { request: request.into_inner(), reply }).unwrap();
        let events = replied.await.map_err(|_| Status::cancelled("the test is over"))??;
        Ok(Response::new(Box::pin(stream::unfold(events, async |mut events| Some((events.recv().await?, events))))))
    }
}

/// The backend's end of every connection.
#[derive(Clone)]
pub(super) struct Backend(Arc<Inner>);

struct Inner {
    server: PushServer<Scripted>,
    /// When it was dialled.
    dials: Mutex<Vec<Instant>>,
    /// So many further dials fail.
    refused: Mutex<usize>,
    connections: Mutex<Vec<AbortHandle>>,
    freeze: watch::Sender<bool>,
}

impl Backend {
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<Asked>) {
        let (ask, asked) = mpsc::unbounded_channel();
        let server = PushServer::new(Scripted(ask));
        let inner = Inner {
            server,
            dials: Mutex::default(),
            refused: Mutex::default(),
            connections: Mutex::default(),
            freeze: watch::Sender::new(false),
        };
        (Self(Arc::new(inner)), asked)
    }

    pub(super) fn refuse(&self, dials: usize) {
        *self.0.refused.lock().unwrap() = dials;
    }

    pub(super) fn dials(&self) -> Vec<Instant> {
        self.0.dials.lock().unwrap().clone()
    }

    /// Serves a connection.
    pub(super) fn serve(&self, io: impl dial::Io + 'static) {
        let mut frozen = self.0.freeze.subscribe();
        let server = self.0.server.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let mut server = server.clone();
            async move {
                let answer: HttpResponse<tonic::body::Body> = tower::Service::call(&mut server, request).await?;
                Ok::<_, std::convert::Infallible>(answer)
            }
        });
        let connection = tokio::spawn(async move {
            let mut serving =
                pin!(http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(io), service));
            tokio::select! {
                _ = &mut serving => {}
                // The connection stays open, but nobody reads it any more.
                () = async { drop(frozen.wait_for(|is_frozen| *is_frozen).await) } => std::future::pending().await,
            }
        });
        self.0.connections.lock().unwrap().push(connection.abort_handle());
    }

    /// Leaves every connection open, and answers on none.
    pub(super) fn freeze(&self) {
        self.0.freeze.send_replace(true);
    }

    /// Breaks every connection.
    pub(super) fn break_all(&self) {
        self.0.connections.lock().unwrap().drain(..).for_each(|connection| connection.abort());
    }
}

impl Dial for Backend {
    fn dial(&self) -> futures_util::future::BoxFuture<'static, io::Result<Box<dyn dial::Io>>> {
        self.0.dials.lock().unwrap().push(Instant::now());
        let refused = &mut *self.0.refused.lock().unwrap();
        if *refused > 0 {
            *refused -= 1;
            return Box::pin(async { Err(io::ErrorKind::ConnectionRefused.into()) });
        }
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        self.serve(theirs);
        Box::pin(async { Ok(Box::new(ours) as Box<dyn dial::Io>) })
    }
}
