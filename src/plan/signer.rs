//! The key that signs answers and events.

use ed25519_dalek::{Signer as _, SigningKey};
use proto::signing::{EventFields, Markers, ResponseFields};
use sha2::{Digest as _, Sha256};

/// Signs answers and events with the active key.
pub struct Signer {
    key_id: String,
    key: SigningKey,
    /// The domain markers of everything signed.
    pub markers: Markers,
}

impl Signer {
    /// Signs with `key`, under the name `key_id`.
    #[must_use]
    pub fn new(key_id: &str, key: SigningKey, markers: Markers) -> Self {
        Self { key_id: key_id.to_owned(), key, markers }
    }

    /// The name that answers carry.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The raw public key that clients verify with.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    /// SHA-256 of the payload, and the signature over the fields with it in place.
    #[must_use]
    pub fn sign(&self, fields: ResponseFields<'_>, payload: &[u8]) -> ([u8; 32], [u8; 64]) {
        let payload_hash: [u8; 32] = Sha256::digest(payload).into();
        let input = ResponseFields { payload_hash: &payload_hash, ..fields }.input(&self.markers.response);
        (payload_hash, self.key.sign(&input).to_bytes())
    }

    /// SHA-256 of the payload, and the signature over the event's fields with it in place.
    #[must_use]
    pub fn sign_event(&self, fields: EventFields<'_>, payload: &[u8]) -> ([u8; 32], [u8; 64]) {
        let payload_hash: [u8; 32] = Sha256::digest(payload).into();
        let input = EventFields { payload_hash: &payload_hash, ..fields }.input(&self.markers.event);
        (payload_hash, self.key.sign(&input).to_bytes())
    }
}
