//! A command in one straight line: decode → chain → backend → sign.

use super::{backend, request::SignedRequest};
use crate::{
    plan::{CommandTarget, signer::Signer},
    rpc::Codec,
    upstream::Track,
};
use bytes::Bytes;
use filters::api::{Reason, Refusal};
use proto::{
    edge::v1::{ExecuteCommandRequest, ExecuteCommandResponse},
    signing::ResponseFields,
};
use std::time::Instant;

/// Answers one command.
///
/// # Errors
/// Whatever refuses it; the caller writes it in the client's protocol.
pub async fn execute(
    call: &mut SignedRequest<'_>,
    target: &CommandTarget,
    message: &Bytes,
    codec: Codec,
) -> Result<ExecuteCommandResponse, Refusal> {
    let commands = &target.commands;
    let (command, session) = call.pass(message, codec, commands.as_ref()).await?;
    let template = commands.call(&command.message_type).ok_or_else(|| Refusal::new(Reason::MessageTypeUnknown))?;
    let rest = template.fill(&command.payload_bytes)?;
    call.refuse_ended(&session)?;
    let traceparent = call.traceparent()?;
    let told = backend::Told { command: &command, session: &session, traceparent, edits: call.edits() };
    let started = Instant::now();
    let mut track = Track::default();
    let answer = backend::send(&commands.upstream, rest, told, call.deadline, &mut track).await;
    call.was_sent(track, started.elapsed());
    call.refuse_ended(&session)?;
    Ok(sign(call.clock.unix_ms(), &target.signer, &command, answer?))
}

fn sign(
    timestamp_ms: i64,
    signer: &Signer,
    command: &ExecuteCommandRequest,
    answer: backend::Signable,
) -> ExecuteCommandResponse {
    let fields = ResponseFields {
        protocol_version: &command.protocol_version,
        device_session_id: &command.device_session_id,
        request_id: &command.request_id,
        timestamp_ms,
        result_code: &answer.result_code,
        payload_hash: &[],
    };
    let (payload_hash, signature) = signer.sign(fields, &answer.payload);
    ExecuteCommandResponse {
        protocol_version: command.protocol_version.clone(),
        request_id: command.request_id.clone(),
        timestamp_ms,
        payload_hash: Bytes::copy_from_slice(&payload_hash),
        signature: Bytes::copy_from_slice(&signature),
        key_id: signer.key_id().to_owned(),
        result_code: answer.result_code,
        payload_bytes: answer.payload,
    }
}
