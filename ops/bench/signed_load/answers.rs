//! The gateway's signing key in a bench, and what makes an answer a right one.

use crate::{Outcome, devices::PROTOCOL_VERSION};
use ed25519_dalek::{SigningKey, VerifyingKey, pkcs8::EncodePrivateKey as _};
use prost::Message as _;
use proto::{
    edge::v1::{ExecuteCommandRequest, ExecuteCommandResponse},
    signing::{Markers, ResponseFields},
};
use sha2::{Digest as _, Sha256};

/// A key that is as public as this file: it signs nothing outside a bench on loopback.
const SIGNER_SEED: [u8; 32] = *b"portcullis bench, not a secret..";

pub(crate) fn signer() -> SigningKey {
    SigningKey::from_bytes(&SIGNER_SEED)
}

pub(crate) fn print_signer() -> Outcome<()> {
    print!("{}", *signer().to_pkcs8_pem(Default::default())?);
    Ok(())
}

/// The signing input of an answer.
pub(crate) fn input_of(session_id: &str, answer: &ExecuteCommandResponse, marker: &str) -> Vec<u8> {
    ResponseFields {
        protocol_version: PROTOCOL_VERSION,
        device_session_id: session_id,
        request_id: &answer.request_id,
        timestamp_ms: answer.timestamp_ms,
        result_code: &answer.result_code,
        payload_hash: &answer.payload_hash,
    }
    .input(marker)
}

/// How closely an answer is looked at. Verifying each signature would leave the loader busier than the
/// gateway, so a caller picks which.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// It decodes and says ok.
    Code,
    /// It also echoes the request's id.
    Echo,
    /// Its payload has the stated hash and the signature holds, too.
    Signature,
}

/// Whether this body is the answer that `command` must get.
pub(crate) fn check(body: &[u8], command: &[u8], look: Look) -> Outcome<()> {
    let answer = ExecuteCommandResponse::decode(body)?;
    if answer.result_code != "ok" {
        return Err(format!("result_code `{}`", answer.result_code).into());
    }
    if look == Look::Code {
        return Ok(());
    }
    let command = ExecuteCommandRequest::decode(command)?;
    if answer.request_id != command.request_id {
        return Err(format!("request_id `{}` for `{}`", answer.request_id, command.request_id).into());
    }
    if look == Look::Echo {
        return Ok(());
    }
    if Sha256::digest(&answer.payload_bytes)[..] != answer.payload_hash[..] {
        return Err("payload_hash is not that of payload_bytes".into());
    }
    let key: VerifyingKey = signer().verifying_key();
    let input = input_of(&command.device_session_id, &answer, &Markers::default().response);
    Ok(key.verify_strict(&input, &answer.signature.as_ref().try_into()?)?)
}
