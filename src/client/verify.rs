//! What an answer must hold before it is believed.

use super::Device;
use ed25519_dalek::Signature;
use proto::{
    edge::v1::{ExecuteCommandRequest, ExecuteCommandResponse},
    signing::ResponseFields,
};
use sha2::{Digest as _, Sha256};

/// Why an answer is not to be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// It answers another request.
    #[error("the answer is for request {0:?}")]
    RequestId(String),
    /// It speaks another version.
    #[error("the answer has protocol version {0:?}")]
    ProtocolVersion(String),
    /// Its payload is not the one that was hashed.
    #[error("the payload does not have the answer's payload_hash")]
    PayloadHash,
    /// It was signed with a key that this device does not know.
    #[error("no key of the gateway is known by the key_id {0:?}")]
    KeyUnknown(String),
    /// The signature does not hold.
    #[error("the signature does not verify")]
    Signature,
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
        if Sha256::digest(&response.payload_bytes).as_slice() != response.payload_hash {
            return Err(Unverified::PayloadHash);
        }
        let key = self.gateway_keys.find(&response.key_id);
        let key = key.ok_or_else(|| Unverified::KeyUnknown(response.key_id.clone()))?;
        let signature = Signature::from_slice(&response.signature).map_err(|_| Unverified::Signature)?;
        let fields = ResponseFields {
            protocol_version: &response.protocol_version,
            device_session_id: &request.device_session_id,
            request_id: &response.request_id,
            timestamp_ms: response.timestamp_ms,
            result_code: &response.result_code,
            payload_hash: &response.payload_hash,
        };
        key.verify_strict(&fields.input(&self.markers.response), &signature).map_err(|_| Unverified::Signature)
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

    #[test]
    fn an_answer_to_another_session_does_not_verify() {
        let (device, mut request, response) = exchange();
        request.device_session_id = "session-2".to_owned();
        assert_eq!(device.verify(&request, &response), Err(Unverified::Signature));
    }
}
