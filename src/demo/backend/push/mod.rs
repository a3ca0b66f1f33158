//! CONTRACT section 5: tells gateways what changes here.

mod journal;

pub(super) use journal::Journal;

use super::accept_one;
use futures_util::{Stream, stream};
use hyper::{server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use journal::Reader;
use proto::push::v1::{
    PushEvent, SubscribePushRequest,
    push_server::{Push, PushServer},
};
use std::{pin::Pin, sync::Arc};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
    task::JoinSet,
};
use tonic::{Request, Response, Status};
use tower::Service as _;

const CONNECTIONS_MAX: usize = 64;

const CLIENT_ID_BYTES_MAX: usize = 128;

#[derive(Clone)]
struct Pushing(Arc<Journal>);

#[async_trait::async_trait]
impl Push for Pushing {
    type SubscribePushStream = Pin<Box<dyn Stream<Item = Result<PushEvent, Status>> + Send>>;

    async fn subscribe_push(
        &self,
        request: Request<SubscribePushRequest>,
    ) -> Result<Response<Self::SubscribePushStream>, Status> {
        let SubscribePushRequest { gateway_client_id, cursor } = request.into_inner();
        if gateway_client_id.is_empty() || gateway_client_id.len() > CLIENT_ID_BYTES_MAX {
            return Err(Status::invalid_argument("a gateway_client_id has 1 to 128 bytes"));
        }
        let reader = self.0.open(gateway_client_id, &cursor);
        Ok(Response::new(Box::pin(stream::unfold(Some(reader), next))))
    }
}

async fn next(reader: Option<Reader>) -> Option<(Result<PushEvent, Status>, Option<Reader>)> {
    let mut reader = reader?;
    Some(match reader.next().await {
        Some(event) => (Ok(event), Some(reader)),
        None => (Err(Status::aborted("another stream has this gateway_client_id")), None),
    })
}

/// Serves the journal until it is stopped. Streams break off then: a gateway comes back to wherever the next backend
/// is.
pub(super) async fn serve(listener: TcpListener, journal: Arc<Journal>, mut stopped: watch::Receiver<()>) {
    let server = PushServer::new(Pushing(journal));
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let (stream, place) = tokio::select! {
            // A dropped handle ends it too.
            _ = stopped.changed() => break,
            accepted = accept_one(&listener, &places) => accepted,
        };
        let server = server.clone();
        let service = service_fn(move |request| server.clone().call(request));
        let connection = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
        connections.spawn(async move {
            if let Err(fault) = connection.await {
                tracing::debug!(%fault, "a gateway's connection to the stand-in backend broke");
            }
            drop(place);
        });
        while connections.try_join_next().is_some() {}
    }
}
