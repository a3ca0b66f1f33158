//! The cryptography of one command: the payload's hash, the strict verification of its signature, the
//! answer's hash and its signature.

use crate::{Outcome, answers, await_start, devices, devices::Device, report};
use ed25519_dalek::{Signature, Signer as _, VerifyingKey};
use proto::{
    edge::v1::{ExecuteCommandRequest, ExecuteCommandResponse},
    signing::Markers,
};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::hint::black_box;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many commands' worth of it.
    #[arg(long)]
    count: u64,
    /// Over how many device sessions.
    #[arg(long, default_value_t = 256)]
    sessions: u32,
    /// The size of the backend's answer, in bytes.
    #[arg(long, default_value_t = 200)]
    answer_bytes: usize,
}

pub(crate) fn run(arguments: &Arguments) -> Outcome<()> {
    let commands: Vec<(VerifyingKey, ExecuteCommandRequest)> = (0..arguments.sessions)
        .map(Device::numbered)
        .map(|device| (device.key.verifying_key(), device.command("0123456789abcdef".to_owned(), 1_700_000_000_000)))
        .collect();
    let signer = answers::signer();
    let markers = Markers::default();
    let payload = vec![b' '; arguments.answer_bytes];

    await_start()?;
    for (_, (key, command)) in (0..arguments.count).zip(commands.iter().cycle()) {
        black_box(Sha256::digest(black_box(&command.payload_bytes)));
        let signature = Signature::from_slice(&command.signature)?;
        key.verify_strict(&devices::input_of(command, &markers.request), &signature)?;

        let answer = ExecuteCommandResponse {
            request_id: command.request_id.clone(),
            timestamp_ms: command.timestamp_ms,
            result_code: "ok".to_owned(),
            payload_hash: Sha256::digest(black_box(&payload)).to_vec().into(),
            ..ExecuteCommandResponse::default()
        };
        black_box(signer.sign(&answers::input_of(&command.device_session_id, &answer, &markers.response)));
    }
    report(&json!({ "event": "done", "count": arguments.count, "errors": 0 }))
}
