//! Devices that open streams and keep them.

use crate::{Outcome, device, grpc, meter::Meter, socket};
use serde::Deserialize;
use std::{net::SocketAddr, ops::Range, sync::Arc};
use tokio::{
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    task::AbortHandle,
};

/// So many streams are opened at once: what is measured are open streams, not a storm.
const AT_ONCE: u32 = 64;

/// Which streams, and how.
#[derive(Clone, Deserialize)]
pub(crate) struct Open {
    pub(crate) how: How,
    /// The server.
    pub(crate) target: SocketAddr,
    /// The number of the first stream.
    #[serde(default)]
    pub(crate) first: usize,
    pub(crate) streams: usize,
    /// Whom they are dealt out among.
    pub(crate) users: usize,
    /// Streams of one HTTP/2 connection.
    #[serde(default = "one")]
    pub(crate) per_connection: usize,
    /// What Centrifugo's client subscribes to.
    #[serde(default)]
    pub(crate) channels: Vec<Channel>,
    /// Whether anything is read once they have begun.
    #[serde(default = "yes")]
    pub(crate) reads: bool,
}

/// The server's kind, and the transport.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum How {
    Grpc,
    Sse,
    Websocket,
    Centrifugo,
    Pushpin,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Channel {
    All,
    User,
}

fn one() -> usize {
    1
}

fn yes() -> bool {
    true
}

impl Open {
    pub(crate) fn user(&self, stream: usize) -> String {
        device::user(stream, self.users)
    }

    pub(crate) fn subscription(&self, stream: usize) -> Outcome<Vec<u8>> {
        device::subscription(&device::session(stream, self.users))
    }

    pub(crate) async fn connect(&self) -> Outcome<TcpStream> {
        let stream = TcpStream::connect(self.target).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// Opens streams, and waits until all have begun. They last until they are aborted.
pub(crate) async fn open(open: &Open, meter: &Arc<Meter>) -> Outcome<Vec<AbortHandle>> {
    let before = meter.open();
    let places = Arc::new(Semaphore::new(AT_ONCE as usize));
    let per_connection = if open.how == How::Grpc { open.per_connection.max(1) } else { 1 };
    let end = open.first + open.streams;
    let connections = (open.first..end).step_by(per_connection).map(|first| {
        let streams = first..end.min(first + per_connection);
        let (open, meter, places) = (open.clone(), Arc::clone(meter), Arc::clone(&places));
        tokio::spawn(async move {
            let together = u32::try_from(streams.len()).unwrap_or(AT_ONCE).min(AT_ONCE);
            let Ok(place) = places.acquire_many_owned(together).await else { return };
            if let Err(error) = connect(open, streams, &meter, place).await {
                meter.ended(&error.to_string());
            }
        })
        .abort_handle()
    });
    let connections = connections.collect();
    meter.await_open(before + open.streams).await?;
    Ok(connections)
}

async fn connect(open: Open, streams: Range<usize>, meter: &Arc<Meter>, place: OwnedSemaphorePermit) -> Outcome<()> {
    match open.how {
        How::Grpc => grpc::connect(&open, streams, meter, place).await,
        How::Sse | How::Websocket | How::Centrifugo | How::Pushpin => {
            socket::connect(&open, streams.start, meter, place).await
        }
    }
}
