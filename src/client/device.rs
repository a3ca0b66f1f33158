//! A signed-in device, and what it signs.

use bytes::Bytes;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use prost::Message as _;
use proto::{
    edge::v1::{ExecuteCommandRequest, SubscribeEventsRequest, SubscribeOptions},
    signing::{Markers, RequestFields},
};
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

/// A signed-in device: its session, its key, and the gateway's keys that it trusts.
#[derive(Debug, Clone)]
pub struct Device {
    /// The session that the backend opened for it.
    pub device_session_id: String,
    /// Its own key.
    pub key: SigningKey,
    /// What answers are verified with.
    pub gateway_keys: GatewayKeys,
    /// The domain markers of everything signed.
    pub markers: Markers,
}

/// The gateway's public keys.
#[derive(Debug, Clone, Default)]
pub struct GatewayKeys {
    /// By `key_id`.
    pub by_id: BTreeMap<String, VerifyingKey>,
    /// Taken instead of all others, whatever `key_id` an answer names.
    pub only: Option<VerifyingKey>,
}

impl GatewayKeys {
    /// The key of this `key_id`.
    #[must_use]
    pub fn find(&self, key_id: &str) -> Option<&VerifyingKey> {
        self.only.as_ref().or_else(|| self.by_id.get(key_id))
    }
}

/// What a device asks for, before it is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The command's name.
    pub message_type: String,
    /// Its payload, JSON on most routes.
    pub payload: Bytes,
    /// The device's clock, Unix milliseconds.
    pub timestamp_ms: i64,
    /// Unique in the device session.
    pub request_id: String,
}

impl Command {
    /// A command of now, under a fresh request id.
    ///
    /// # Errors
    /// Where the operating system gives no randomness.
    pub fn new(message_type: impl Into<String>, payload: impl Into<Bytes>) -> Result<Self, getrandom::Error> {
        let random = getrandom::u64()?;
        Ok(Self {
            message_type: message_type.into(),
            payload: payload.into(),
            timestamp_ms: unix_ms(),
            request_id: format!("req-{random:016x}"),
        })
    }
}

impl Device {
    /// A device that trusts no gateway key yet.
    #[must_use]
    pub fn new(device_session_id: impl Into<String>, key: SigningKey) -> Self {
        let device_session_id = device_session_id.into();
        Self { device_session_id, key, gateway_keys: GatewayKeys::default(), markers: Markers::default() }
    }

    /// The signed envelope of a command.
    #[must_use]
    pub fn sign(&self, command: &Command) -> ExecuteCommandRequest {
        let mut request = ExecuteCommandRequest {
            protocol_version: "v1".to_owned(),
            device_session_id: self.device_session_id.clone(),
            message_type: command.message_type.clone(),
            timestamp_ms: command.timestamp_ms,
            request_id: command.request_id.clone(),
            payload_bytes: command.payload.clone(),
            payload_hash: Bytes::copy_from_slice(&Sha256::digest(&command.payload)),
            ..Default::default()
        };
        self.sign_envelope(&mut request);
        request
    }

    /// A signed request of now for a stream of events.
    ///
    /// # Errors
    /// Where the operating system gives no randomness.
    pub fn sign_subscription(&self, options: &SubscribeOptions) -> Result<SubscribeEventsRequest, getrandom::Error> {
        let request = self.sign(&Command::new("gateway.subscribe", options.encode_to_vec())?);
        // Field by field the same message.
        let ExecuteCommandRequest { protocol_version, device_session_id, message_type, timestamp_ms, .. } = request;
        let ExecuteCommandRequest { request_id, payload_bytes, payload_hash, signature, trace_id, .. } = request;
        Ok(SubscribeEventsRequest {
            protocol_version,
            device_session_id,
            message_type,
            timestamp_ms,
            request_id,
            payload_bytes,
            payload_hash,
            signature,
            trace_id,
        })
    }

    /// Signs an envelope over its fields as they stand, wrong ones too.
    pub fn sign_envelope(&self, request: &mut ExecuteCommandRequest) {
        let fields = RequestFields {
            protocol_version: &request.protocol_version,
            device_session_id: &request.device_session_id,
            message_type: &request.message_type,
            timestamp_ms: request.timestamp_ms,
            request_id: &request.request_id,
            payload_hash: &request.payload_hash,
        };
        let signature = self.key.sign(&fields.input(&self.markers.request));
        request.signature = Bytes::copy_from_slice(&signature.to_bytes());
    }
}

/// The wall clock, Unix milliseconds; 0 on a clock before 1970.
#[must_use]
pub fn unix_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CONTRACT section 2, vector 1.
    #[test]
    fn signs_the_contract_vector() {
        let seed: [u8; 32] = std::array::from_fn(|i| i as u8);
        let device = Device::new("session-1", SigningKey::from_bytes(&seed));
        let request = device.sign(&Command {
            message_type: "user.account.get".to_owned(),
            payload: Bytes::new(),
            timestamp_ms: 1_700_000_000_000,
            request_id: "req-1".to_owned(),
        });
        let hex: String = request.signature.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "0f348dbd30dae3f4d37e1920d960582dcbacf5eebbd6284752169b9bd4963588c51225e95b3a8f6f21de6a3b4e73f23c4\
             129b46d560fef697e092f20c42e7d0f"
        );
    }

    #[test]
    fn fresh_commands_differ_in_their_id() {
        let [one, other] = [(), ()].map(|()| Command::new("a", "").unwrap().request_id);
        assert_ne!(one, other);
    }
}
