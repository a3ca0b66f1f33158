//! Verifies the command's signature with the session's key.
//!
//! This is what makes a command the device's own: not the session id, which an eavesdropper can learn.
//! Ed25519 (RFC 8032) is verified strictly. A key of small order would verify signatures over messages that
//! its owner never signed, and a second encoding of a key or a signature would let one command appear in two
//! forms; none of these is accepted.
//!
//! It can always decide: what it needs was looked up by `session`.
//!
//! ```yaml
//! - signature
//! ```

use crate::api::{BuildFault, Check, Configured, Exchange, Filter, Halt, Outcome, Parts, Reason, Refusal, Step};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, VerifyingKey};
use proto::signing::RequestFields;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Verifies the command's signature. There is nothing to configure.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {}

impl Configured for Config {
    const NAME: &'static str = "signature";
    const AFTER: &'static [&'static str] = &["envelope", "session", "payload_hash"];
    const ONCE: bool = true;

    fn build(&self, parts: &Parts) -> Result<Box<dyn Filter>, BuildFault> {
        Ok(Box::new(SignatureFilter { marker: parts.markers.request.clone() }))
    }
}

/// A text that is no Ed25519 public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// It is no standard base64.
    #[error("the key is not standard base64")]
    NotBase64,
    /// It decodes to another length than 32 bytes.
    #[error("the key has {0} bytes and not 32")]
    Length(usize),
    /// The bytes are no point of the curve.
    #[error("the key is no point of the curve")]
    NotOnCurve,
}

/// Reads a device's public key: the standard base64, with padding, of its 32 bytes. `None` is a key that
/// verifies nothing, because it has small order or is not canonically encoded.
///
/// # Errors
/// Where the text is no key at all.
pub fn parse_key(base64: &str) -> Result<Option<VerifyingKey>, KeyFault> {
    let decoded = STANDARD.decode(base64).map_err(|_| KeyFault::NotBase64)?;
    let bytes: [u8; 32] = decoded.try_into().map_err(|decoded: Vec<u8>| KeyFault::Length(decoded.len()))?;
    if !is_canonical(&bytes) {
        return Ok(None);
    }
    let key = VerifyingKey::from_bytes(&bytes).map_err(|_| KeyFault::NotOnCurve)?;
    Ok((!key.is_weak()).then_some(key))
}

/// Whether the y coordinate is below the field's prime 2^255 - 19: ed25519-dalek decompresses others too. A
/// sign bit on x = 0, the other form that is not canonical, occurs only with small order.
fn is_canonical(bytes: &[u8; 32]) -> bool {
    let [lowest, middle @ .., highest] = bytes;
    highest & 0x7f != 0x7f || middle.iter().any(|byte| *byte != 0xff) || *lowest < 0xed
}

struct SignatureFilter {
    marker: String,
}

impl Filter for SignatureFilter {
    fn name(&self) -> &'static str {
        Config::NAME
    }

    fn check<'f, 'x: 'f>(&'f self, exchange: &'f mut Exchange<'x>) -> Check<'f> {
        Step::Ready(self.judge(exchange))
    }
}

impl SignatureFilter {
    fn judge(&self, exchange: &Exchange<'_>) -> Outcome {
        let facts = &exchange.facts;
        let (Some(command), Some(session)) = (facts.command.decoded(), &facts.session) else {
            return Err(Halt::misplaced(Config::NAME));
        };
        let fields = RequestFields {
            protocol_version: &command.protocol_version,
            device_session_id: &command.device_session_id,
            message_type: &command.message_type,
            timestamp_ms: command.timestamp_ms,
            request_id: &command.request_id,
            payload_hash: &command.payload_hash,
        };
        let input = fields.input(&self.marker);
        let holds = session
            .key
            .zip(Signature::from_slice(&command.signature).ok())
            .is_some_and(|(key, signature)| key.verify_strict(&input, &signature).is_ok());
        if holds { Ok(()) } else { Err(Refusal::new(Reason::SignatureInvalid).into()) }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
