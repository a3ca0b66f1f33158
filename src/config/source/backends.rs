//! Where requests, sessions and counts go.

use super::RedisStore;
use filters::api::units::{Duration, Size};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where replay ids and shared budgets are kept.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Store {
    /// In this process: not shared with another instance, and lost when it ends.
    Memory(MemoryStore),
    /// In Redis or Valkey: shared by all instances that name the same one and the same prefix.
    Redis(Box<RedisStore>),
}

/// A store in this process.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MemoryStore {
    /// The most replay ids that are kept; with all of them live, further commands are refused.
    pub replay_ids: usize,
    /// The most budget keys that are kept; with all of them live, new callers share one budget.
    pub budget_keys: usize,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self { replay_ids: 1_000_000, budget_keys: 100_000 }
    }
}

/// A group of backends that do the same.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// Their addresses: `http://host:port`, or `https://host:port` for TLS. Requests go to them in turn; one that
    /// could not be connected to is left out for 5 s.
    #[schemars(length(min = 1))]
    pub endpoints: Vec<String>,
    /// How long each step may take.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// The pool of kept connections.
    #[serde(default)]
    pub pool: Pool,
    /// How endpoints with `https://` are spoken to. HTTP/2 is all that is spoken there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<UpstreamTls>,
}

/// How endpoints with `https://` are spoken to.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UpstreamTls {
    /// Whom to trust: a PEM file with the authorities' certificates; the system's authorities where it is left out.
    pub ca: Option<PathBuf>,
    /// The name that their certificates are for; the host of each endpoint where it is left out.
    pub server_name: Option<String>,
}

/// How long each step of a call to an upstream may take.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// Until the connection stands.
    pub connect: Duration,
    /// Between two reads.
    pub read: Duration,
    /// Until a write has made progress.
    pub write: Duration,
    /// From the first attempt to the head of the answer. While the client is sending its body, each KiB that comes adds
    /// 1 s; with the last of it the time begins anew. How long the body of an answer takes is bounded by `read` and by
    /// `connections.write` only. Of a command or a call of an `rpc` route it is the time from its arrival to its end.
    pub request: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_millis(500),
            read: Duration::from_secs(5),
            write: Duration::from_secs(5),
            request: Duration::from_secs(15),
        }
    }
}

/// The pool of kept connections of an upstream.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Pool {
    /// The most idle connections that are kept for each endpoint.
    pub idle: usize,
    /// How long an idle connection is kept. Shorter than the backend's own keep-alive time.
    pub idle_timeout: Duration,
    /// The largest answer that is read whole, of a command or a session lookup.
    pub answer_max: Size,
}

impl Default for Pool {
    fn default() -> Self {
        Self { idle: 128, idle_timeout: Duration::from_secs(30), answer_max: Size::from_bytes(1 << 20) }
    }
}

/// Where device sessions are looked up.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sessions {
    /// The upstream that knows them.
    pub upstream: String,
    /// The path, with `{id}` for the device session id.
    #[serde(default = "session_path_by_default")]
    pub path: String,
    /// The deadline of one lookup.
    #[serde(default = "session_timeout_by_default")]
    pub timeout: Duration,
    /// Keeps sessions that were looked up, revoked ones too. Off by default: every command asks.
    #[serde(default)]
    pub cache: Option<SessionCache>,
    /// How long a session that was not there is taken not to be there, so that one unknown id again and again asks
    /// once. Off by default. Ids that differ each time are held back by a budget ahead of the lookup only.
    #[serde(default)]
    pub unknown_for: Option<Duration>,
}

/// Keeps sessions that were looked up. It is emptied by invalidations from the feed, and unused while that is down.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SessionCache {
    /// How long a session is kept, from when it was asked for.
    pub ttl: Duration,
    /// The most sessions that are kept; the oldest go. Some 700 bytes each.
    pub sessions: usize,
    /// Whether it is used where no feed is configured. A revoked session may then act until its time is over.
    pub without_feed: bool,
}

impl Default for SessionCache {
    fn default() -> Self {
        Self { ttl: Duration::from_secs(30), sessions: 100_000, without_feed: false }
    }
}

fn session_path_by_default() -> String {
    "/api/v1/internal/sessions/{id}".to_owned()
}

fn session_timeout_by_default() -> Duration {
    Duration::from_secs(2)
}
