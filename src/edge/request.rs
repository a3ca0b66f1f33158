//! What commands and subscriptions have ahead of them: decode → chain.

use crate::{
    plan::{CommandTarget, Route},
    rpc::Codec,
};
use bytes::Bytes;
use filters::{
    api::{Clock, CommandState, Exchange, Facts, Head, MessageTypes, Reason, Refusal, Session, SessionRecord},
    chain::Stop,
};
use http::{HeaderMap, Method};
use prost::Message as _;
use proto::edge::v1::ExecuteCommandRequest;
use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

/// A signed request, and what is found on its way.
pub struct SignedRequest<'a> {
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

impl SignedRequest<'_> {
    /// Decodes the request and runs the rest of the chain over it.
    ///
    /// # Errors
    /// Whatever refuses it.
    pub async fn pass(
        &mut self,
        message: &Bytes,
        codec: Codec,
        message_types: &dyn MessageTypes,
    ) -> Result<(Arc<ExecuteCommandRequest>, Session), Refusal> {
        self.facts.command = decode(message, codec);
        self.run_chain(message_types).await?;
        match (self.facts.command.decoded().cloned(), self.facts.session.clone()) {
            (Some(request), Some(session)) => Ok((request, session)),
            _ => Err(Refusal::new(Reason::Internal)),
        }
    }

    /// Refuses what is done for a session that was ended after it was looked up: nothing is sent for it, and what
    /// was answered to it is not signed.
    ///
    /// # Errors
    /// `SESSION_REVOKED`.
    pub fn refuse_ended(&self, session: &SessionRecord) -> Result<(), Refusal> {
        if self.target.invalidations.has_ended(session, self.facts.session_as_of) {
            return Err(Refusal::new(Reason::SessionRevoked));
        }
        Ok(())
    }

    async fn run_chain(&mut self, message_types: &dyn MessageTypes) -> Result<(), Refusal> {
        let started = Instant::now();
        let head = Head {
            method: &Method::POST,
            path: self.path,
            query: None,
            headers: self.headers,
            client_ip: self.client_ip,
            route: &self.route.name,
            cost: self.route.cost,
        };
        let message_types = Some(message_types);
        let mut exchange = Exchange { head, body: None, message_types, facts: &mut *self.facts };
        let outcome = self.route.chain.run_rest(&mut exchange).await;
        self.chain_took += started.elapsed();
        match outcome {
            Ok(()) => Ok(()),
            Err(Stop::Refused(refusal)) => Err(refusal),
            Err(Stop::Answered(_)) => Err(Refusal::new(Reason::Internal)),
        }
    }
}

/// Both requests have the same fields.
fn decode(message: &Bytes, codec: Codec) -> CommandState {
    let decoded = match codec {
        Codec::Json => proto::json::read(message).map_err(|error| error.to_string()),
        Codec::Proto => ExecuteCommandRequest::decode(message.clone()).map_err(|error| error.to_string()),
    };
    decoded.map_or_else(CommandState::Undecodable, |command| CommandState::Decoded(Arc::new(command)))
}
