//! Device sessions whose name says whose they are, so that no list of them is needed.

use crate::Outcome;
use ed25519_dalek::SigningKey;
use portcullis::client::{Command, Device};
use prost::Message as _;

/// A key that is as public as this file. All devices have it: what is measured are streams, not keys.
const KEY_SEED: [u8; 32] = *b"portcullis bench, not a secret..";

pub(crate) fn key() -> SigningKey {
    SigningKey::from_bytes(&KEY_SEED)
}

/// The user that a stream is of, where streams are dealt out among so many users.
pub(crate) fn user(stream: usize, users: usize) -> String {
    format!("u{}", stream % users.max(1))
}

pub(crate) fn session(stream: usize, users: usize) -> String {
    format!("s{stream}-{}", user(stream, users))
}

/// A subscription to everything, in protobuf.
pub(crate) fn subscription(session: &str) -> Outcome<Vec<u8>> {
    let command = Command::new("gateway.subscribe", Vec::new())?;
    Ok(Device::new(session, key()).sign(&command).encode_to_vec())
}
