//! A stream of events: the same checks as a command's, then whatever the hub has for it, until one side ends it.

use super::request::SignedRequest;
use crate::{
    events::hub::{Delivery, Encoded, EventTypes, Hub, Subscriber, Subscription},
    rpc::{Answer, Codec, gone, reached, refusal},
    wire::{Code, Failure},
};
use bytes::{Bytes, BytesMut};
use filters::api::{MessageTypes, Reason, Refusal};
use http::HeaderMap;
use pingora_core::{Error, Result};
use pingora_proxy::Session;
use prost::Message as _;
use proto::edge::v1::SubscribeOptions;
use std::sync::{Arc, LazyLock};
use tokio::time::Instant;

/// The message_type of every subscription.
const SUBSCRIBE: &str = "gateway.subscribe";
/// So much of what waits is written at once: a write for each event would cost more than the event.
const WRITE_BYTES: usize = 32 << 10;

static HEARTBEAT: LazyLock<Encoded> = LazyLock::new(Encoded::heartbeat);

/// The one message_type that is subscribed with.
pub struct Subscribing;

impl MessageTypes for Subscribing {
    fn is_routed(&self, message_type: &str) -> bool {
        message_type == SUBSCRIBE
    }
}

/// Opens the stream that a request asks for.
///
/// # Errors
/// Whatever refuses it.
pub async fn subscribe(
    request: &mut SignedRequest<'_>,
    message: &Bytes,
    codec: Codec,
    hub: &Arc<Hub>,
) -> std::result::Result<Subscriber, Refusal> {
    let (asked, session) = request.pass(message, codec, &Subscribing).await?;
    let invalid = |what: String| Refusal::because(Reason::PayloadInvalid, what);
    let options = SubscribeOptions::decode(asked.payload_bytes.clone()).map_err(|fault| invalid(fault.to_string()))?;
    let event_types = EventTypes::new(options.event_types).map_err(|fault| invalid(fault.to_string()))?;
    let subscription = Subscription {
        session_id: &session.device_session_id,
        user_id: &session.user_id,
        client_ip: request.client_ip,
        request_id: &asked.request_id,
        resume_after: &options.resume_after,
        event_types,
    };
    let subscriber = hub.subscribe(subscription);
    // Ended just now, before the hub could end this stream with the others of its session.
    request.refuse_ended(&session)?;
    subscriber.map_err(|refused| Refusal::because(refused.reason(), refused.to_string()))
}

/// What happens next on a stream.
enum Turn {
    Delivered(Delivery),
    Gone(Box<Error>),
    Late,
}

/// Writes what is delivered until one side ends the stream. Answers with why the gateway did.
///
/// # Errors
/// Where the client has gone.
pub async fn deliver(
    session: &mut Session,
    mut answer: Answer,
    codec: Codec,
    headers: HeaderMap,
    subscriber: &mut Subscriber,
    deadline: Option<Instant>,
) -> Result<Option<Reason>> {
    answer.begin(session, headers).await?;
    loop {
        let turn = tokio::select! {
            biased;
            // First: on a stream that always has an event ready nothing behind it would ever be looked at. That the
            // client has gone such a stream learns when it writes.
            () = reached(deadline) => Turn::Late,
            delivery = subscriber.next() => Turn::Delivered(delivery),
            error = gone(session) => Turn::Gone(error),
        };
        let mut delivery = match turn {
            Turn::Delivered(delivery) => Some(delivery),
            Turn::Gone(error) => return Err(error),
            Turn::Late => {
                let late = Failure::new(Code::DeadlineExceeded, "the caller's time is over");
                return answer.finish(session, Some(&late), &HeaderMap::new()).await.map(|()| None);
            }
        };
        let mut frames = BytesMut::new();
        let mut end = None;
        while let Some(next) = delivery {
            match &next {
                Delivery::Event(event) => frames.extend_from_slice(&answer.frame(of(event, codec))),
                Delivery::Heartbeat => frames.extend_from_slice(&answer.frame(of(&HEARTBEAT, codec))),
                Delivery::End(reason) => end = Some(*reason),
            }
            delivery = if end.is_none() && frames.len() < WRITE_BYTES { subscriber.try_next() } else { None };
        }
        if !frames.is_empty() {
            answer.write(session, frames.freeze()).await?;
        }
        if let Some(end) = end {
            let failure = refusal::to_failure(&Refusal::new(end.reason()));
            return answer.finish(session, Some(&failure), &HeaderMap::new()).await.map(|()| Some(end.reason()));
        }
    }
}

fn of(event: &Encoded, codec: Codec) -> &Bytes {
    match codec {
        Codec::Proto => &event.bytes,
        Codec::Json => event.json(),
    }
}
