//! An upstream in HTTP/1 and gRPC that keeps nothing of what it is asked.

use http_body_util::{BodyExt as _, Full};
use hyper::{
    HeaderMap, Request, Response,
    body::{Bytes, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// Starts one that answers with the body that it was sent, on the current runtime.
pub async fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).unwrap();
            tokio::spawn(async move {
                auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service_fn(answer))
                    .await
                    .ok();
            });
        }
    });
    address
}

async fn answer(
    request: Request<Incoming>,
) -> Result<Response<impl hyper::body::Body<Data = Bytes, Error = hyper::Error>>, hyper::Error> {
    let media_type = request.headers().get("content-type").cloned();
    let is_grpc = media_type.as_ref().is_some_and(|media_type| media_type.as_bytes().starts_with(b"application/grpc"));
    let body = Full::new(request.into_body().collect().await?.to_bytes());
    let trailers = async move {
        is_grpc.then(|| Ok(HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())])))
    };
    let mut response = Response::new(body.map_err(|never| match never {}).with_trailers(trailers));
    if let Some(media_type) = media_type {
        response.headers_mut().insert("content-type", media_type);
    }
    Ok(response)
}
