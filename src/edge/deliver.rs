//! The loop of every stream: what the hub has for it is written, until one side ends it.

use crate::{
    events::hub::{Delivery, Encoded, Subscriber},
    rpc::Codec,
};
use bytes::{Bytes, BytesMut};
use filters::api::Reason;
use pingora_core::{Error, ErrorType, Result};
use pingora_proxy::Session;
use std::{sync::LazyLock, time::Duration};
use tokio::time::sleep;

/// So much of what waits is written at once: a write for each event would cost more than the event.
const WRITE_BYTES: usize = 32 << 10;
/// How long a client whose session is ended may take to read what is being written.
const REVOKED: Duration = Duration::from_secs(1);

static HEARTBEAT: LazyLock<Encoded> = LazyLock::new(Encoded::heartbeat);

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
    type Parting;

    /// Waits for what the client says, or does not say in time. Dropped while it waits, nothing is lost.
    ///
    /// # Errors
    /// Where the client has gone.
    async fn hear(&mut self, session: &mut Session) -> Result<Heard<Self::Parting>>;

    /// Adds an event to what is written next.
    fn put(&self, event: &Encoded, frames: &mut BytesMut);

    /// Adds what a silent stream carries.
    fn put_heartbeat(&self, frames: &mut BytesMut) {
        self.put(&HEARTBEAT, frames);
    }

    /// Writes what was put together.
    ///
    /// # Errors
    /// Where the client has gone, or does not read.
    async fn write(&mut self, session: &mut Session, frames: Bytes) -> Result<()>;

    /// Says that the gateway ends the stream, and why.
    ///
    /// # Errors
    /// Where the client has gone.
    async fn end(&mut self, session: &mut Session, reason: Reason) -> Result<()>;

    /// Ends a stream that is over by itself. Answers with the gateway's word for it, where it has one.
    ///
    /// # Errors
    /// Where the client has gone.
    async fn part(&mut self, session: &mut Session, parting: Self::Parting) -> Result<Option<Reason>>;

    /// Waits a moment for the client's own end, where it has one. The hub has let the stream go by then.
    async fn settle(&mut self, _: &mut Session) {}
}

/// What happens next on a stream.
enum Turn<P> {
    Delivered(Delivery),
    Heard(Heard<P>),
}

/// Writes what is delivered until one side ends the stream, which has begun, and takes its leave. Answers with why the
/// gateway did.
///
/// # Errors
/// Where the client has gone.
pub async fn deliver<T: Transport>(
    session: &mut Session,
    transport: &mut T,
    mut subscriber: Subscriber,
) -> Result<Option<Reason>> {
    let reason = run(session, transport, &mut subscriber).await?;
    drop(subscriber);
    transport.settle(session).await;
    Ok(reason)
}

async fn run<T: Transport>(
    session: &mut Session,
    transport: &mut T,
    subscriber: &mut Subscriber,
) -> Result<Option<Reason>> {
    loop {
        let turn = tokio::select! {
            biased;
            // First: on a stream that always has an event ready nothing behind it would ever be looked at. What a client
            // may say is limited, so it keeps nobody from the events.
            heard = transport.hear(session) => Turn::Heard(heard?),
            delivery = subscriber.next() => Turn::Delivered(delivery),
        };
        let first = match turn {
            Turn::Delivered(delivery) => delivery,
            Turn::Heard(Heard::Answer(answer)) => {
                unless_revoked(subscriber, transport.write(session, answer)).await?;
                continue;
            }
            Turn::Heard(Heard::Over(parting)) => {
                return unless_revoked(subscriber, transport.part(session, parting)).await;
            }
        };
        let (frames, end) = gather(transport, subscriber, first);
        if !frames.is_empty() {
            unless_revoked(subscriber, transport.write(session, frames)).await?;
        }
        if let Some(reason) = end {
            return unless_revoked(subscriber, transport.end(session, reason)).await.map(|()| Some(reason));
        }
    }
}

/// Gives a write up where the session is ended and the client does not read: the stream would otherwise stay for as long
/// as a write may take.
async fn unless_revoked<T>(subscriber: &Subscriber, writing: impl Future<Output = Result<T>>) -> Result<T> {
    let revoked = async {
        subscriber.revoked().await;
        sleep(REVOKED).await;
    };
    tokio::select! {
        biased;
        written = writing => written,
        () = revoked => {
            let unread = "the session is ended, and its client does not read";
            Error::e_explain(ErrorType::WriteTimedout, unread).map_err(Error::into_down)
        }
    }
}

/// What is there already, in its frames, and why nothing follows.
fn gather<T: Transport>(transport: &T, subscriber: &mut Subscriber, first: Delivery) -> (Bytes, Option<Reason>) {
    let mut frames = BytesMut::new();
    let mut delivery = Some(first);
    while let Some(next) = delivery {
        match next {
            Delivery::Event(event) => transport.put(&event, &mut frames),
            Delivery::Heartbeat => transport.put_heartbeat(&mut frames),
            Delivery::End(end) => return (frames.freeze(), Some(end.reason())),
        }
        delivery = if frames.len() < WRITE_BYTES { subscriber.try_next() } else { None };
    }
    (frames.freeze(), None)
}

/// An event in a codec, encoded once for all of its streams.
pub fn encoded(event: &Encoded, codec: Codec) -> &Bytes {
    match codec {
        Codec::Proto => &event.bytes,
        Codec::Json => event.json(),
    }
}
