//! What an answer or an event must hold before it is believed.

use super::{Device, GatewayKeys};
use ed25519_dalek::Signature;
use proto::{
    edge::v1::{Event, ExecuteCommandRequest, ExecuteCommandResponse},
    signing::{EventFields, ResponseFields},
};
use sha2::{Digest as _, Sha256};

/// The only one there is.
const PROTOCOL_VERSION: &str = "v1";

/// Why an answer or an event is not to be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// It answers another request.
    #[error("the answer is for request {0:?}")]
    RequestId(String),
    /// It speaks another version.
    #[error("it has protocol version {0:?}")]
    ProtocolVersion(String),
    /// Its payload is not the one that was hashed.
    #[error("the payload does not have its payload_hash")]
    PayloadHash,
    /// It was signed with a key that this device does not know.
    #[error("no key of the gateway is known by the key_id {0:?}")]
    KeyUnknown(String),
    /// The signature does not hold.
    #[error("the signature does not verify")]
    Signature,
    /// The event is addressed to another user.
    #[error("the event is for user {0:?}")]
    Subject(String),
    /// Heartbeats are unsigned, so there is nothing else in them.
    #[error("a heartbeat with something in it")]
    Heartbeat,
}

impl Device {
    /// Holds an answer against the request that it answers and the gateway's key.
    ///
    /// # Errors
    /// The first thing about it that does not hold.
    pub fn verify(&self, request: &ExecuteCommandRequest, response: &ExecuteCommandResponse) -> Result<(), Unverified> {
        if response.request_id != request.request_id {
            return Err(Unverified::RequestId(response.request_id.clone()));
        }
        if response.protocol_version != request.protocol_version {
            return Err(Unverified::ProtocolVersion(response.protocol_version.clone()));
        }
        let signed = Signed::of(&response.payload_bytes, &response.payload_hash, &response.key_id, &response.signature);
        let fields = ResponseFields {
            protocol_version: &response.protocol_version,
            device_session_id: &request.device_session_id,
            request_id: &response.request_id,
            timestamp_ms: response.timestamp_ms,
            result_code: &response.result_code,
            payload_hash: &response.payload_hash,
        };
        signed.verify(&self.gateway_keys, &fields.input(&self.markers.response))
    }

    /// Holds an event against the gateway's key. Whom it is for is not looked at.
    ///
    /// # Errors
    /// The first thing about it that does not hold.
    pub fn verify_event(&self, event: &Event) -> Result<(), Unverified> {
        if event.protocol_version != PROTOCOL_VERSION {
            return Err(Unverified::ProtocolVersion(event.protocol_version.clone()));
        }
        let signed = Signed::of(&event.payload_bytes, &event.payload_hash, &event.key_id, &event.signature);
        let fields = EventFields::from(event);
        signed.verify(&self.gateway_keys, &fields.input(&self.markers.event))
    }
}

/// What answers and events have in common.
struct Signed<'a> {
    payload: &'a [u8],
    payload_hash: &'a [u8],
    key_id: &'a str,
    signature: &'a [u8],
}

impl<'a> Signed<'a> {
    fn of(payload: &'a [u8], payload_hash: &'a [u8], key_id: &'a str, signature: &'a [u8]) -> Self {
        Self { payload, payload_hash, key_id, signature }
    }

    /// Whether the payload has its hash, and the signature of `input` holds.
    fn verify(&self, keys: &GatewayKeys, input: &[u8]) -> Result<(), Unverified> {
        if Sha256::digest(self.payload).as_slice() != self.payload_hash {
            return Err(Unverified::PayloadHash);
        }
        let key = keys.find(self.key_id).ok_or_else(|| Unverified::KeyUnknown(self.key_id.to_owned()))?;
        let signature = Signature::from_slice(self.signature).map_err(|_| Unverified::Signature)?;
        key.verify_strict(input, &signature).map_err(|_| Unverified::Signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Command;
    use bytes::Bytes;
    use ed25519_dalek::{Signer as _, SigningKey};

    fn exchange() -> (Device, ExecuteCommandRequest, ExecuteCommandResponse) {
        let gateway = SigningKey::from_bytes(&[7; 32]);
        let mut device = Device::new("session-1", SigningKey::from_bytes(&[1; 32]));
        device.gateway_keys.by_id.insert("main".to_owned(), gateway.verifying_key());
        let request = device.sign(&Command::new("user.account.get", "").unwrap());
        let payload_hash = Sha256::digest(b"{}");
        let fields = ResponseFields {
            protocol_version: "v1",
            device_session_id: "session-1",
            request_id: &request.request_id,
            timestamp_ms: 5,
            result_code: "ok",
            payload_hash: &payload_hash,
        };
        let response = ExecuteCommandResponse {
            protocol_version: "v1".to_owned(),
            request_id: request.request_id.clone(),
            timestamp_ms: 5,
            result_code: "ok".to_owned(),
            payload_bytes: Bytes::from_static(b"{}"),
            payload_hash: Bytes::copy_from_slice(&payload_hash),
            signature: Bytes::copy_from_slice(&gateway.sign(&fields.input("edge-response-v1")).to_bytes()),
            key_id: "main".to_owned(),
        };
        (device, request, response)
    }

    #[test]
    fn believes_what_the_gateway_signed() {
        let (device, request, response) = exchange();
        assert_eq!(device.verify(&request, &response), Ok(()));
    }

    #[test]
    fn believes_nothing_else() {
        fn check(change: impl Fn(&mut ExecuteCommandResponse), expected: &Unverified) {
            let (device, request, mut response) = exchange();
            change(&mut response);
            assert_eq!(device.verify(&request, &response).as_ref(), Err(expected));
        }
        check(|r| r.request_id = "other".to_owned(), &Unverified::RequestId("other".to_owned()));
        check(|r| r.protocol_version = "v2".to_owned(), &Unverified::ProtocolVersion("v2".to_owned()));
        check(|r| r.payload_bytes = Bytes::from_static(b"[]"), &Unverified::PayloadHash);
        check(|r| r.payload_hash = Bytes::new(), &Unverified::PayloadHash);
        check(|r| r.key_id = "old".to_owned(), &Unverified::KeyUnknown("old".to_owned()));
        check(|r| r.result_code = "denied".to_owned(), &Unverified::Signature);
        check(|r| r.timestamp_ms = 6, &Unverified::Signature);
        check(|r| r.signature = Bytes::from_static(&[0; 63]), &Unverified::Signature);
        check(|r| r.signature = Bytes::from_static(&[0; 64]), &Unverified::Signature);
    }

    fn event() -> (Device, Event) {
        let (device, ..) = exchange();
        let payload_hash = Sha256::digest(b"{}");
        let fields = EventFields {
            protocol_version: "v1",
            event_id: "event-1",
            event_type: "user.account.renamed",
            timestamp_ms: 5,
            request_id: "req-1",
            subject: "user-1",
            position: "c1",
            payload_hash: &payload_hash,
        };
        let signature = SigningKey::from_bytes(&[7; 32]).sign(&fields.input("edge-event-v1"));
        let event = Event {
            protocol_version: "v1".to_owned(),
            event_type: "user.account.renamed".to_owned(),
            event_id: "event-1".to_owned(),
            timestamp_ms: 5,
            request_id: "req-1".to_owned(),
            trace_id: "not signed".to_owned(),
            payload_bytes: Bytes::from_static(b"{}"),
            payload_hash: Bytes::copy_from_slice(&payload_hash),
            signature: Bytes::copy_from_slice(&signature.to_bytes()),
            subject: "user-1".to_owned(),
            position: "c1".to_owned(),
            key_id: "main".to_owned(),
        };
        (device, event)
    }

    #[test]
    fn of_an_event_everything_but_the_trace_is_signed() {
        fn check(change: impl Fn(&mut Event), expected: &Result<(), Unverified>) {
            let (device, mut event) = event();
            change(&mut event);
            assert_eq!(device.verify_event(&event), *expected);
        }
        check(|e| e.trace_id.clear(), &Ok(()));
        check(|e| e.protocol_version = "v2".to_owned(), &Err(Unverified::ProtocolVersion("v2".to_owned())));
        check(|e| e.payload_bytes = Bytes::from_static(b"[]"), &Err(Unverified::PayloadHash));
        check(|e| e.key_id.clear(), &Err(Unverified::KeyUnknown(String::new())));
        check(|e| e.event_id.push('0'), &Err(Unverified::Signature));
        check(|e| e.event_type.push('0'), &Err(Unverified::Signature));
        check(|e| e.timestamp_ms = 6, &Err(Unverified::Signature));
        check(|e| e.request_id.clear(), &Err(Unverified::Signature));
        check(|e| e.subject.clear(), &Err(Unverified::Signature));
        check(|e| e.position = "c2".to_owned(), &Err(Unverified::Signature));
        check(|e| e.signature.clear(), &Err(Unverified::Signature));
    }

    #[test]
    fn an_answer_to_another_session_does_not_verify() {
        let (device, mut request, response) = exchange();
        request.device_session_id = "session-2".to_owned();
        assert_eq!(device.verify(&request, &response), Err(Unverified::Signature));
    }
}
