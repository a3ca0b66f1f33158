//! Device sessions, and the commands that they sign.

use crate::Outcome;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signer as _, SigningKey};
use proto::{
    edge::v1::ExecuteCommandRequest,
    signing::{Markers, RequestFields},
};
use sha2::{Digest as _, Sha256};

pub(crate) const PROTOCOL_VERSION: &str = "v1";
const MESSAGE_TYPE: &str = "user.account.get";

/// A device session with its key. The key follows from the number, so that the backend can be given the
/// public half without an exchange.
pub(crate) struct Device {
    pub(crate) session_id: String,
    pub(crate) key: SigningKey,
}

impl Device {
    pub(crate) fn numbered(number: u32) -> Self {
        let session_id = format!("bench-{number}");
        let key = SigningKey::from_bytes(&Sha256::digest(&session_id).into());
        Self { session_id, key }
    }

    /// A signed command without payload, which GETs the user's account.
    pub(crate) fn command(&self, request_id: String, timestamp_ms: i64) -> ExecuteCommandRequest {
        let payload_hash = Sha256::digest(b"");
        let fields = RequestFields {
            protocol_version: PROTOCOL_VERSION,
            device_session_id: &self.session_id,
            message_type: MESSAGE_TYPE,
            timestamp_ms,
            request_id: &request_id,
            payload_hash: &payload_hash,
        };
        let signature = self.key.sign(&fields.input(&Markers::default().request));
        ExecuteCommandRequest {
            protocol_version: PROTOCOL_VERSION.to_owned(),
            device_session_id: self.session_id.clone(),
            message_type: MESSAGE_TYPE.to_owned(),
            timestamp_ms,
            request_id,
            payload_bytes: Vec::new().into(),
            payload_hash: payload_hash.to_vec().into(),
            signature: signature.to_bytes().to_vec().into(),
            trace_id: String::new(),
        }
    }
}

/// The signing input of a command as its receiver builds it, from the fields that arrived.
pub(crate) fn input_of(command: &ExecuteCommandRequest, marker: &str) -> Vec<u8> {
    RequestFields {
        protocol_version: &command.protocol_version,
        device_session_id: &command.device_session_id,
        message_type: &command.message_type,
        timestamp_ms: command.timestamp_ms,
        request_id: &command.request_id,
        payload_hash: &command.payload_hash,
    }
    .input(marker)
}

pub(crate) fn print(count: u32) -> Outcome<()> {
    for device in (0..count).map(Device::numbered) {
        println!("{} {}", device.session_id, STANDARD.encode(device.key.verifying_key().as_bytes()));
    }
    Ok(())
}
