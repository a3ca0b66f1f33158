//! What a filter sees of a request, and what filters leave for those behind them.

use super::{HeaderEdits, RateState, ReplayKey, SessionRecord, Store};
use crate::session::Moment;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use proto::edge::v1::ExecuteCommandRequest;
use std::{net::IpAddr, sync::Arc};

/// The request as it arrived. Nothing here changes while the chain runs.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// The method.
    pub method: &'a Method,
    /// The canonical path: decoded once, the one that was matched and that is forwarded.
    pub path: &'a str,
    /// The raw query, without the question mark.
    pub query: Option<&'a str>,
    /// The headers, identity headers from outside already dropped.
    pub headers: &'a HeaderMap,
    /// The client's address, taken from forwarding headers only where the peer is a trusted proxy.
    pub client_ip: IpAddr,
    /// The route's name in the configuration.
    pub route: &'a str,
    /// What a request to the route costs in every budget, at least 1.
    pub cost: u64,
}

/// Whether a message_type is one that the route serves.
pub trait MessageTypes: Send + Sync {
    /// True where a command of this name is routed.
    fn is_routed(&self, message_type: &str) -> bool;
}

/// A command's place in the chain: absent on plain HTTP routes.
#[derive(Debug, Clone, Default)]
pub enum CommandState {
    /// The route carries no commands.
    #[default]
    None,
    /// The body was no command; what was wrong with it. `envelope` refuses it.
    Undecodable(String),
    /// The decoded envelope. No field of it is checked before `envelope` has run.
    Decoded(Arc<ExecuteCommandRequest>),
}

impl CommandState {
    /// The decoded envelope, where there is one.
    #[must_use]
    pub fn decoded(&self) -> Option<&Arc<ExecuteCommandRequest>> {
        match self {
            Self::Decoded(command) => Some(command),
            Self::None | Self::Undecodable(_) => None,
        }
    }
}

/// A device session that exists and is active.
pub type Session = Arc<SessionRecord>;

/// A replay id that was reserved for a request whose chain has not passed yet.
///
/// Dropped before that, by a budget that refuses or by a client that goes away, it gives the id back: only a
/// request that was let through burns its id.
pub struct Reservation {
    store: Arc<dyn Store>,
    key: ReplayKey,
    is_kept: bool,
}

impl Reservation {
    /// Remembers where `key` was reserved.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, key: ReplayKey) -> Self {
        Self { store, key, is_kept: false }
    }

    /// The request is let through: the id stays reserved.
    pub fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.is_kept {
            self.store.release(&self.key);
        }
    }
}

impl std::fmt::Debug for Reservation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reservation").field("key", &self.key).finish_non_exhaustive()
    }
}

/// What is known of the request so far: each filter reads what those ahead of it found and adds its own.
#[derive(Debug, Default)]
pub struct Facts {
    /// The id under which the request is logged and answered.
    pub request_id: Option<HeaderValue>,
    /// The command, on routes that carry commands.
    pub command: CommandState,
    /// Who calls, once `session` has run.
    pub session: Option<Session>,
    /// As of when `session` stood: what invalidates it after that moment ends the request.
    pub session_as_of: Moment,
    /// The body as JSON, once a `body` filter with `json: true` has run.
    pub json: Option<serde_json::Value>,
    /// The most bytes that the body may have while it is streamed, where a filter limits it.
    pub body_bytes_max: Option<u64>,
    /// The reservation of `replay`, until the chain has passed.
    pub reservation: Option<Reservation>,
    /// Of all budgets asked, the one with the least left.
    pub rate: Option<RateState>,
    /// Changes to the request that goes to the backend.
    pub upstream_headers: HeaderEdits,
    /// Changes to the answer that goes to the client, refusals included.
    pub downstream_headers: HeaderEdits,
    /// The filter that stopped the request.
    pub stopped_by: Option<&'static str>,
    /// Filters that could not decide and let the request pass (`on_fault: pass`).
    pub faults_passed: Vec<&'static str>,
}

impl Facts {
    /// Keeps the tighter of two budgets for the answer's `X-RateLimit-*`.
    pub fn note_rate(&mut self, rate: RateState) {
        if self.rate.is_none_or(|known| rate.remaining < known.remaining) {
            self.rate = Some(rate);
        }
    }
}

/// One request on its way through the chain.
pub struct Exchange<'a> {
    /// The request as it arrived.
    pub head: Head<'a>,
    /// The whole body, where a filter asked for it (see [`super::Filter::body_need`]).
    pub body: Option<&'a Bytes>,
    /// Which commands the route serves, where it serves any.
    pub message_types: Option<&'a dyn MessageTypes>,
    /// What is known so far.
    pub facts: &'a mut Facts,
}
