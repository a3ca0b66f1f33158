//! Streams of gRPC, many or one on a connection.

use crate::{Outcome, devices::Open, frames::Scanner, meter::Meter, socket::BEGUN};
use bytes::{BufMut as _, Bytes, BytesMut};
use h2::client::{Builder, ResponseFuture};
use http::{Request, Version};
use std::{future::pending, ops::Range, sync::Arc};
use tokio::{
    sync::{OwnedSemaphorePermit, oneshot},
    task::JoinSet,
};

/// Of a connection: never what a reader waits for.
const CONNECTION_WINDOW: u32 = 4 << 20;
/// Of a stream that nobody reads: full after a few events, so that the server's own queue is what fills.
const UNREAD_WINDOW: u32 = 1 << 10;

pub(crate) async fn connect(
    open: &Open,
    streams: Range<usize>,
    meter: &Arc<Meter>,
    place: OwnedSemaphorePermit,
) -> Outcome<()> {
    let mut builder = Builder::new();
    builder.initial_connection_window_size(CONNECTION_WINDOW);
    if !open.reads {
        builder.initial_window_size(UNREAD_WINDOW);
    }
    let (mut client, connection) = builder.handshake::<_, Bytes>(open.connect().await?).await?;
    // Whatever is in it ends with this future.
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        drop(connection.await);
    });
    let mut beginnings = Vec::new();
    for stream in streams {
        client = client.ready().await?;
        let (answer, mut body) = client.send_request(request(open)?, false)?;
        body.send_data(framed(&open.subscription(stream)?)?, true)?;
        let (begun, beginning) = oneshot::channel();
        let (meter, reads) = (Arc::clone(meter), open.reads);
        tasks.spawn(async move {
            let why = match follow(answer, &meter, begun, reads).await {
                Ok(why) => why,
                Err(error) => error.to_string(),
            };
            meter.ended(&why);
        });
        beginnings.push(beginning);
    }
    for beginning in beginnings {
        beginning.await.ok();
    }
    drop(place);
    while tasks.join_next().await.is_some() {}
    Ok(())
}

fn request(open: &Open) -> Outcome<Request<()>> {
    let uri = format!("http://{}/edge.v1.Gateway/SubscribeEvents", open.target);
    let request = Request::post(uri).version(Version::HTTP_2);
    Ok(request.header("content-type", "application/grpc").header("te", "trailers").body(())?)
}

/// A message as gRPC frames it: not compressed, its length, its bytes.
fn framed(message: &[u8]) -> Outcome<Bytes> {
    let mut framed = BytesMut::with_capacity(message.len() + 5);
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len())?);
    framed.put_slice(message);
    Ok(framed.freeze())
}

/// Reads a stream until it ends, and says how it did.
async fn follow(answer: ResponseFuture, meter: &Meter, begun: oneshot::Sender<()>, reads: bool) -> Outcome<String> {
    let (head, mut body) = answer.await?.into_parts();
    let mut begun = Some(begun);
    let mut scanner = Scanner::default();
    while let Some(data) = body.data().await {
        let data = data?;
        if data.windows(BEGUN.len()).any(|window| window == BEGUN)
            && let Some(begun) = begun.take()
        {
            meter.opened();
            begun.send(()).ok();
            if !reads {
                pending::<()>().await;
            }
        }
        scanner.feed(&data, |number| meter.arrived(number));
        body.flow_control().release_capacity(data.len())?;
    }
    let trailers = body.trailers().await?.unwrap_or(head.headers);
    Ok(format!("{:?} {:?}", trailers.get("grpc-status"), trailers.get("grpc-message")))
}
