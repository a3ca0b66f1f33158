//! A command in one straight line: decode → chain → backend → sign.

use super::backend;
use crate::{
    plan::{CommandTarget, Route},
    rpc::caller::Codec,
};
use bytes::Bytes;
use filters::{
    api::{Clock, CommandState, Exchange, Facts, Head, Reason, Refusal, SessionRecord},
    chain::Stop,
};
use http::{HeaderMap, Method};
use prost::Message as _;
use proto::{
    edge::v1::{ExecuteCommandRequest, ExecuteCommandResponse},
    signing::ResponseFields,
};
use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

/// Everything that a command needs, and what is found on its way.
pub struct Command<'a> {
    /// Its route.
    pub route: &'a Route,
    /// Where it goes.
    pub target: &'a CommandTarget,
    /// What the filters found.
    pub facts: &'a mut Facts,
    /// The canonical path.
    pub path: &'a str,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The client's address.
    pub client_ip: IpAddr,
    /// Time.
    pub clock: &'a dyn Clock,
    /// When the client stops waiting.
    pub deadline: Option<tokio::time::Instant>,
    /// How long the chain took.
    pub chain_took: Duration,
    /// How long the backend took.
    pub backend_took: Duration,
}

/// Answers one command.
///
/// # Errors
/// Whatever refuses it; the caller writes it in the client's protocol.
pub async fn execute(call: &mut Command<'_>, message: &Bytes, codec: Codec) -> Result<ExecuteCommandResponse, Refusal> {
    call.facts.command = decode(message, codec);
    run_chain(call).await?;
    let (Some(command), Some(session)) = (call.facts.command.decoded().cloned(), call.facts.session.clone()) else {
        return Err(Refusal::new(Reason::Internal));
    };
    let commands = Arc::clone(&call.target.commands);
    let template = commands.call(&command.message_type).ok_or_else(|| Refusal::new(Reason::MessageTypeUnknown))?;
    let rest = template.fill(&command.payload_bytes)?;
    refuse_ended(call, &session)?;
    let started = Instant::now();
    let answer = backend::send(&commands.upstream, rest, &command, &session, call.headers, call.deadline).await;
    call.backend_took = started.elapsed();
    refuse_ended(call, &session)?;
    Ok(sign(call, &command, answer?))
}

/// Refuses what is done for a session that was ended after it was looked up: nothing is sent for it, and what was
/// answered to it is not signed.
fn refuse_ended(call: &Command<'_>, session: &SessionRecord) -> Result<(), Refusal> {
    if call.target.invalidations.has_ended(session, call.facts.session_as_of) {
        return Err(Refusal::new(Reason::SessionRevoked));
    }
    Ok(())
}

fn decode(message: &Bytes, codec: Codec) -> CommandState {
    let decoded = match codec {
        Codec::Json => proto::json::read(message).map_err(|error| error.to_string()),
        Codec::Proto => ExecuteCommandRequest::decode(message.clone()).map_err(|error| error.to_string()),
    };
    decoded.map_or_else(CommandState::Undecodable, |command| CommandState::Decoded(Arc::new(command)))
}

async fn run_chain(call: &mut Command<'_>) -> Result<(), Refusal> {
    let started = Instant::now();
    let head = Head {
        method: &Method::POST,
        path: call.path,
        query: None,
        headers: call.headers,
        client_ip: call.client_ip,
        route: &call.route.name,
        cost: call.route.cost,
    };
    let message_types = Some(call.target.commands.as_ref() as _);
    let mut exchange = Exchange { head, body: None, message_types, facts: &mut *call.facts };
    let outcome = call.route.chain.run_rest(&mut exchange).await;
    call.chain_took += started.elapsed();
    match outcome {
        Ok(()) => Ok(()),
        Err(Stop::Refused(refusal)) => Err(refusal),
        Err(Stop::Answered(_)) => Err(Refusal::new(Reason::Internal)),
    }
}

fn sign(call: &Command<'_>, command: &ExecuteCommandRequest, answer: backend::Signable) -> ExecuteCommandResponse {
    let timestamp_ms = call.clock.unix_ms();
    let fields = ResponseFields {
        protocol_version: &command.protocol_version,
        device_session_id: &command.device_session_id,
        request_id: &command.request_id,
        timestamp_ms,
        result_code: &answer.result_code,
        payload_hash: &[],
    };
    let signer = &call.target.signer;
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
