mod ends;
mod fan_out;
mod kinds;
mod model;
mod resume;

use super::*;
use crate::plan::events::StreamCaps;
use ed25519_dalek::{Signature, SigningKey, VerifyingKey};
use filters::memory::SystemClock;
use proto::{
    push::v1::{ClientEvent, SessionInvalidation},
    signing::{EventFields, Markers},
};
use sha2::{Digest as _, Sha256};
use std::{sync::mpsc, time::Duration};

fn limits() -> HubLimits {
    HubLimits {
        queue_events_max: 64,
        queue_bytes_max: 1 << 20,
        history_events_max: 1024,
        history_bytes_max: 64 << 20,
        history_for: Duration::from_secs(120),
        heartbeat: Duration::from_secs(15),
        streams: StreamCaps { max: 100_000, per_session: 1_000, per_user: 1_000, per_ip: 100_000 },
    }
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn hub(limits: HubLimits) -> (Arc<Hub>, Publisher) {
    observed(limits, Arc::new(()))
}

fn observed(limits: HubLimits, observer: Arc<dyn Observer>) -> (Arc<Hub>, Publisher) {
    with_kinds(limits, &BTreeMap::new(), observer)
}

fn with_kinds(
    limits: HubLimits,
    kinds: &BTreeMap<String, KindOptions>,
    observer: Arc<dyn Observer>,
) -> (Arc<Hub>, Publisher) {
    let signer = Arc::new(Signer::new("main", key(), Markers::default()));
    Hub::new(limits, kinds, signer, Arc::new(SystemClock::new()), observer)
}

/// A subscription of a device of a user: `ann/phone`.
fn asked<'a>(device: &'a str, resume_after: &'a str) -> Subscription<'a> {
    Subscription {
        session_id: device,
        user_id: device.split('/').next().unwrap(),
        client_ip: [192, 0, 2, 1].into(),
        request_id: "req-1",
        resume_after,
        event_types: EventTypes::default(),
    }
}

/// A stream, and whether it was resumed.
fn resumed(hub: &Arc<Hub>, device: &str, resume_after: &str) -> (Subscriber, bool) {
    let mut subscriber = hub.subscribe(asked(device, resume_after)).unwrap();
    let first = event(&mut subscriber);
    assert_eq!(first.event.event_type, "gateway.server_time");
    let payload: serde_json::Value = serde_json::from_slice(&first.event.payload_bytes).unwrap();
    (subscriber, payload["resumed"].as_bool().unwrap())
}

fn open(hub: &Arc<Hub>, device: &str) -> Subscriber {
    resumed(hub, device, "").0
}

fn event(subscriber: &mut Subscriber) -> Arc<Encoded> {
    match subscriber.try_next() {
        Some(Delivery::Event(encoded)) => encoded,
        other => panic!("{other:?}"),
    }
}

/// The ids of everything that waits.
fn waiting(subscriber: &mut Subscriber) -> Vec<String> {
    let mut ids = Vec::new();
    while let Some(Delivery::Event(encoded)) = subscriber.try_next() {
        ids.push(encoded.event.event_id.clone());
    }
    ids
}

fn ended(subscriber: &mut Subscriber) -> Option<EndReason> {
    match subscriber.try_next() {
        Some(Delivery::End(reason)) => Some(reason),
        Some(other) => panic!("{other:?}"),
        None => None,
    }
}

/// An event for `ann`, for `ann/phone`, for `/ann/phone` (a device without its user), or for everybody.
fn pushed(to: &str, event_id: &str) -> ClientEvent {
    let (user_id, device_session_id) = match to.split_once('/') {
        Some(("", device)) => ("", device),
        Some((user, _)) => (user, to),
        None => (to, ""),
    };
    ClientEvent {
        user_id: user_id.to_owned(),
        device_session_id: device_session_id.to_owned(),
        kind: "game.turn".to_owned(),
        payload: vec![b'x'; 32].into(),
        event_id: event_id.to_owned(),
        request_id: "req-9".to_owned(),
        trace_id: "trace-9".to_owned(),
        timestamp_ms: 1_700_000_000_000,
    }
}

/// Publishes an event whose cursor is its id.
fn publish(publisher: &mut Publisher, to: &str, event_id: &str) {
    publisher.event(pushed(to, event_id), event_id).unwrap();
}

/// Holds an event's hash and signature against its fields.
fn verify(encoded: &Encoded) {
    use prost::Message as _;
    let event = &encoded.event;
    assert_eq!(Event::decode(encoded.bytes.clone()).unwrap(), *event);
    assert_eq!(event.payload_hash, Sha256::digest(&event.payload_bytes).to_vec());
    let fields = EventFields::from(event);
    let key: VerifyingKey = key().verifying_key();
    key.verify_strict(&fields.input("edge-event-v1"), &Signature::from_slice(&event.signature).unwrap()).unwrap();
    assert_eq!((event.protocol_version.as_str(), event.key_id.as_str()), ("v1", "main"));
}
