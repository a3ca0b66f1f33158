//! The loop of every stream: what the hub has for it is written, until one side ends it. It runs in a small task of its
//! own, which is all that an idle stream holds.

use crate::{
    events::hub::{Delivery, Encoded, Subscriber},
    proxy::{Gone, Outlet},
};
use bytes::{Bytes, BytesMut};
use filters::api::Reason;
use std::{
    future::poll_fn,
    mem,
    sync::{Arc, LazyLock},
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::sleep;

/// So much of what waits is written at once: a write for each event would cost more than the event.
const WRITE_BYTES: usize = 32 << 10;
/// How long a client whose session is ended may take to read what is being written.
const REVOKED: Duration = Duration::from_secs(1);

static HEARTBEAT: LazyLock<Arc<Encoded>> = LazyLock::new(|| Arc::new(Encoded::heartbeat()));

/// What comes from the client's side of a stream.
pub enum Heard<P> {
    /// It is to be answered with this.
    Answer(Bytes),
    /// The stream is over.
    Over(P),
}

/// How a stream is written to its client.
pub trait Transport {
    /// How it ends without the hub.
    type Parting: Send;

    /// Waits for what the client says, or does not say in time.
    fn poll_hear(&mut self, outlet: &mut Outlet, cx: &mut Context<'_>) -> Poll<Result<Heard<Self::Parting>, Gone>>;

    /// An event in its frame.
    fn frame(&self, event: &Arc<Encoded>) -> Bytes;

    /// Frames as they are written.
    fn written(&self, frames: Bytes) -> Bytes {
        frames
    }

    /// What a silent stream carries.
    fn heartbeat(&self) -> Bytes {
        self.frame(&HEARTBEAT)
    }

    /// Says that the gateway ends the stream, and why.
    fn end(&mut self, outlet: &mut Outlet, reason: Reason) -> impl Future<Output = Result<(), Gone>> + Send;

    /// Ends a stream that is over by itself. Answers with the gateway's word for it, where it has one.
    fn part(
        &mut self,
        outlet: &mut Outlet,
        parting: Self::Parting,
    ) -> impl Future<Output = Result<Option<Reason>, Gone>> + Send;

    /// Waits a moment for the client's own end, where it has one. The hub has let the stream go by then.
    fn settle(&mut self, _: &mut Outlet) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// What happens next on a stream.
enum Turn<P> {
    Delivered(Delivery),
    Heard(Heard<P>),
}

/// Goes on with a stream that has begun, in a task of its own.
pub fn spawn<T: Transport + Send + 'static>(outlet: Outlet, transport: T, subscriber: Subscriber) {
    tokio::spawn(deliver(outlet, transport, subscriber));
}

/// Writes what is delivered until one side ends the stream, and takes its leave. What an idle stream does not go through
/// is boxed, so that it adds nothing to it.
async fn deliver<T: Transport>(mut outlet: Outlet, mut transport: T, mut subscriber: Subscriber) {
    let ended = run(&mut outlet, &mut transport, &mut subscriber).await;
    drop(subscriber);
    Box::pin(async move {
        if let Ok(reason) = ended {
            outlet.record().refused = reason;
            transport.settle(&mut outlet).await;
            outlet.close().await;
        }
    })
    .await;
}

async fn run<T: Transport>(
    outlet: &mut Outlet,
    transport: &mut T,
    subscriber: &mut Subscriber,
) -> Result<Option<Reason>, Gone> {
    // Whether the client was asked just now, had nothing to say, and will wake this task when it has.
    let mut has_asked = false;
    loop {
        let asks = !mem::take(&mut has_asked);
        let mut is_first = true;
        let turn = poll_fn(|cx| {
            // First: on a stream that always has an event ready nothing behind it would ever be looked at. What a client
            // may say is limited, so it keeps nobody from the events.
            if (asks || !mem::take(&mut is_first))
                && let Poll::Ready(heard) = transport.poll_hear(outlet, cx)
            {
                return Poll::Ready(heard.map(Turn::Heard));
            }
            subscriber.poll_next(cx).map(|delivery| Ok(Turn::Delivered(delivery)))
        });
        let mut has_waited = false;
        let (frames, end) = match turn.await? {
            Turn::Delivered(delivery) => {
                has_waited = asks;
                let (frames, end) = gather(transport, subscriber, delivery);
                (transport.written(frames), end)
            }
            Turn::Heard(Heard::Answer(answer)) => (answer, None),
            Turn::Heard(Heard::Over(parting)) => {
                return Box::pin(unless_revoked(subscriber, transport.part(outlet, parting))).await;
            }
        };
        if !frames.is_empty() {
            outlet.put(frames);
            if outlet.send_at_once().await? {
                has_asked = has_waited;
            } else {
                Box::pin(unless_revoked(subscriber, outlet.send())).await?;
            }
        }
        if let Some(reason) = end {
            let ending = Box::pin(unless_revoked(subscriber, transport.end(outlet, reason)));
            return ending.await.map(|()| Some(reason));
        }
    }
}

/// Gives a write up where the session is ended and the client does not read: the stream would otherwise stay for as long
/// as a write may take.
async fn unless_revoked<T>(subscriber: &Subscriber, writing: impl Future<Output = Result<T, Gone>>) -> Result<T, Gone> {
    let revoked = async {
        subscriber.revoked().await;
        sleep(REVOKED).await;
    };
    tokio::select! {
        biased;
        written = writing => written,
        () = revoked => Err(Gone),
    }
}

/// What is there already, in its frames, and why nothing follows. One event alone is written as it is shared.
fn gather<T: Transport>(transport: &T, subscriber: &mut Subscriber, first: Delivery) -> (Bytes, Option<Reason>) {
    let frame = match framed(transport, first) {
        Ok(frame) => frame,
        Err(end) => return (Bytes::new(), Some(end)),
    };
    let mut next = if frame.len() < WRITE_BYTES { subscriber.try_next() } else { None };
    if next.is_none() {
        return (frame, None);
    }
    let mut frames = BytesMut::from(frame);
    while let Some(delivery) = next {
        match framed(transport, delivery) {
            Ok(frame) => frames.extend_from_slice(&frame),
            Err(end) => return (frames.freeze(), Some(end)),
        }
        next = if frames.len() < WRITE_BYTES { subscriber.try_next() } else { None };
    }
    (frames.freeze(), None)
}

fn framed<T: Transport>(transport: &T, delivery: Delivery) -> Result<Bytes, Reason> {
    match delivery {
        Delivery::Event(event) => Ok(transport.frame(&event)),
        Delivery::Heartbeat => Ok(transport.heartbeat()),
        Delivery::End(end) => Err(end.reason()),
    }
}
