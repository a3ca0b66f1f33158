//! What a subscription has ahead of its first event: the same checks as a command, then a place in the hub.

use super::request::SignedRequest;
use crate::{
    events::{
        Events,
        hub::{EventTypes, Subscriber, Subscription},
    },
    plan::events::EventSource,
    proxy::Gateway,
    rpc::Codec,
};
use bytes::Bytes;
use filters::api::{MessageTypes, Reason, Refusal};
use prost::Message as _;
use proto::edge::v1::{ExecuteCommandRequest, SubscribeOptions};
use std::sync::Arc;

/// The message_type of every subscription.
const SUBSCRIBE: &str = "gateway.subscribe";

/// The one message_type that is subscribed with.
pub(super) struct Subscribing;

impl MessageTypes for Subscribing {
    fn is_routed(&self, message_type: &str) -> bool {
        message_type == SUBSCRIBE
    }
}

/// A source that runs.
///
/// # Errors
/// `NOT_SERVED` where there is none.
pub fn events(gateway: &Gateway, source: Option<&EventSource>) -> Result<Arc<Events>, Refusal> {
    let events = source.and_then(|source| gateway.events.load().get(&source.name).cloned());
    events.ok_or_else(|| Refusal::because(Reason::NotServed, "no events are served here"))
}

/// What a subscription asks for.
///
/// # Errors
/// `PAYLOAD_INVALID`.
pub(super) fn options(asked: &ExecuteCommandRequest) -> Result<(SubscribeOptions, EventTypes), Refusal> {
    let invalid = |what: String| Refusal::because(Reason::PayloadInvalid, what);
    let options = SubscribeOptions::decode(asked.payload_bytes.clone()).map_err(|fault| invalid(fault.to_string()))?;
    let event_types = EventTypes::new(options.event_types.clone()).map_err(|fault| invalid(fault.to_string()))?;
    Ok((options, event_types))
}

/// Opens the stream that a request asks for.
///
/// # Errors
/// Whatever refuses it.
pub async fn subscribe(
    request: &mut SignedRequest<'_>,
    message: &Bytes,
    codec: Codec,
    events: &Events,
) -> Result<Subscriber, Refusal> {
    let (asked, session) = request.pass(message, codec, &Subscribing).await?;
    let (options, event_types) = options(&asked)?;
    if !options.resume_after.is_empty() {
        events.catch_up(&options.resume_after).await;
    }
    let subscription = Subscription {
        session_id: &session.device_session_id,
        user_id: &session.user_id,
        client_ip: request.client_ip,
        request_id: &asked.request_id,
        resume_after: &options.resume_after,
        event_types,
    };
    let subscriber = events.hub.subscribe(subscription);
    // Ended just now, before the hub could end this stream with the others of its session.
    request.refuse_ended(&session)?;
    let mut subscriber = subscriber.map_err(|refused| Refusal::because(refused.reason(), refused.to_string()))?;
    request.hang(&mut subscriber, &session);
    Ok(subscriber)
}
