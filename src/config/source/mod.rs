//! `gateway.yaml` as an operator writes it. The documentation of each field is what `portcullis schema`
//! and editors show.

mod backends;
mod events;
mod listeners;
mod observe;
mod redis;
mod reload;
mod routes;
mod signing;
mod subscriptions;
mod tested;

pub use backends::{MemoryStore, Pool, SessionCache, Sessions, Store, Timeouts, Upstream, UpstreamTls};
pub use events::{EventFeed, EventHistory, EventKind, EventQueue, EventStreams, Events};
pub use listeners::{Connections, Limits, Listener, Protocol, Tls};
pub use observe::{AccessLog, AccessLogTarget, Level, Log, Observe};
pub use redis::{Breaker, RedisStore, RedisTls, RedisUrl, Sentinel};
pub use reload::{Reload, ReloadStreams};
pub use routes::{AmbiguousPath, Call, Commands, Forward, ForwardOptions, Match, PathRules, Publish, Route, Rpc};
pub use signing::{Key, Markers, PublicHalf, Secret, Signing};
pub use subscriptions::{Sse, SseOptions, WebSocket, WebSocketOptions};
pub use tested::{
    Claim, Expected, ExpectedRequest, Invariant, Test, TestAnswer, TestCommand, TestRequest, TestSession, TestStatus,
    TestStep,
};

use filters::{api::units::Duration, budget::BudgetConfig, table::ChainEntry};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A whole configuration.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The version of this format: 1.
    #[schemars(range(min = 1, max = 1))]
    pub version: u32,
    /// Who this instance is.
    #[serde(default)]
    pub node: Node,
    /// Addresses that are listened on, by name.
    pub listeners: BTreeMap<String, Listener>,
    /// What every connection is held to.
    #[serde(default)]
    pub connections: Connections,
    /// Where replay ids and shared budgets are kept, by name.
    #[serde(default)]
    pub stores: BTreeMap<String, Store>,
    /// Groups of backends, by name.
    #[serde(default)]
    pub upstreams: BTreeMap<String, Upstream>,
    /// Where device sessions are looked up, by name.
    #[serde(default)]
    pub sessions: BTreeMap<String, Sessions>,
    /// The keys that sign answers, and the domain markers of everything signed.
    #[serde(default)]
    pub signing: Option<Signing>,
    /// What callers may spend, by name.
    #[serde(default)]
    pub budgets: BTreeMap<String, BudgetConfig>,
    /// Ordered filters, by name. An entry is a filter or the name of another chain.
    #[serde(default)]
    pub chains: BTreeMap<String, Vec<ChainEntry>>,
    /// Which requests go where. The most specific match wins, whatever the order here.
    #[serde(default)]
    pub routes: Vec<Route>,
    /// How commands become REST calls, by name.
    #[serde(default)]
    pub commands: BTreeMap<String, Commands>,
    /// What backends push to devices, by name.
    #[serde(default)]
    pub events: BTreeMap<String, Events>,
    /// Path prefixes that are never reachable from outside, on the canonical path, ahead of any route.
    #[serde(default = "shut_by_default")]
    pub shut: Vec<String>,
    /// Headers that only the gateway may write; a client's own are dropped on every route, `_` for `-` included.
    #[serde(default = "identity_headers_by_default")]
    pub identity_headers: Vec<String>,
    /// Logs and metrics.
    #[serde(default)]
    pub observe: Observe,
    /// How a running gateway takes up another configuration.
    #[serde(default)]
    pub reload: Reload,
    /// How another process takes the place of a running one.
    #[serde(default)]
    pub upgrade: Upgrade,
    /// How the process stops.
    #[serde(default)]
    pub drain: Drain,
    /// What holds of all routes. A configuration that breaks one is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub invariants: Vec<Invariant>,
    /// What becomes of requests, for `portcullis test`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tests: Vec<Test>,
}

impl Config {
    /// The listener that serves routes, where there is only one.
    #[must_use]
    pub fn only_listener(&self) -> Option<&str> {
        let mut serving = self.listeners.iter().filter(|(_, listener)| !listener.admin).map(|(name, _)| name.as_str());
        serving.next().filter(|_| serving.next().is_none())
    }

    /// The listener that commands come to: that of the first route that has them.
    #[must_use]
    pub fn command_listener(&self) -> Option<&str> {
        let route = self.routes.iter().find(|route| route.commands.is_some())?;
        route.r#match.listener.as_deref().or_else(|| self.only_listener())
    }
}

fn shut_by_default() -> Vec<String> {
    vec!["/api/v1/internal/".to_owned()]
}

fn identity_headers_by_default() -> Vec<String> {
    ["x-user-id", "x-device-session-id"].map(str::to_owned).to_vec()
}

/// Who this instance is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Node {
    /// The instance's name in logs.
    pub id: String,
    /// Worker threads; 0 is one for each core.
    pub threads: usize,
    /// The pseudonym that requests to backends have in `Via`; with `off` they have none, and one that comes round to the
    /// gateway itself is not noticed.
    pub via: String,
}

impl Default for Node {
    fn default() -> Self {
        Self { id: "gw-1".to_owned(), threads: 0, via: "portcullis".to_owned() }
    }
}

/// How another process takes the place of a running one.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Upgrade {
    /// How long the new process may take until it is ready.
    pub deadline: Duration,
}

impl Default for Upgrade {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(60) }
    }
}

/// How the process stops on SIGTERM.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Drain {
    /// How long requests are still taken while `/readyz` already says no, so that load balancers notice.
    pub delay: Duration,
    /// How long requests in flight may take after that.
    pub deadline: Duration,
}

impl Default for Drain {
    fn default() -> Self {
        Self { delay: Duration::from_secs(5), deadline: Duration::from_secs(30) }
    }
}
