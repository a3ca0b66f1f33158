//! The backend's stream of events.

use crate::Outcome;
use futures_util::{Stream, stream};
use hyper::{server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use proto::push::v1::{
    PushEvent, SubscribePushRequest,
    push_event::Kind,
    push_server::{self, PushServer},
};
use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{
    net::TcpListener,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};
use tonic::{Request, Response, Status};
use tower::Service as _;

/// One gateway's at a time. It remembers nothing: a bench in which the stream breaks is void anyhow.
#[derive(Clone, Default)]
pub(crate) struct Push {
    feed: Arc<Mutex<Feed>>,
}

#[derive(Default)]
struct Feed {
    gateway: Option<UnboundedSender<PushEvent>>,
    pushed: u64,
}

impl Push {
    pub(crate) async fn serve(&self, address: SocketAddr) -> Outcome<()> {
        let listener = TcpListener::bind(address).await?;
        let server = PushServer::new(self.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = server.clone();
                let service = service_fn(move |request| server.clone().call(request));
                if stream.set_nodelay(true).is_ok() {
                    let serving = http2::Builder::new(TokioExecutor::new());
                    tokio::spawn(serving.serve_connection(TokioIo::new(stream), service));
                }
            }
        });
        Ok(())
    }

    pub(crate) fn push(&self, kind: Kind) -> Outcome<()> {
        let mut feed = self.feed.lock().unwrap_or_else(PoisonError::into_inner);
        feed.pushed += 1;
        let event = PushEvent { kind: Some(kind), cursor: format!("c{}", feed.pushed) };
        let gateway = feed.gateway.as_ref().ok_or("no gateway holds the stream of events")?;
        gateway.send(event).map_err(|_| "the gateway has let the stream of events go".into())
    }
}

#[async_trait::async_trait]
impl push_server::Push for Push {
    type SubscribePushStream = Pin<Box<dyn Stream<Item = Result<PushEvent, Status>> + Send>>;

    async fn subscribe_push(
        &self,
        _: Request<SubscribePushRequest>,
    ) -> Result<Response<Self::SubscribePushStream>, Status> {
        let (sender, receiver) = unbounded_channel();
        self.feed.lock().unwrap_or_else(PoisonError::into_inner).gateway = Some(sender);
        let next = async |mut receiver: UnboundedReceiver<PushEvent>| Some((Ok(receiver.recv().await?), receiver));
        Ok(Response::new(Box::pin(stream::unfold(receiver, next))))
    }
}
