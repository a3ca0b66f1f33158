//! The compiled configuration. A request pins one plan at its first step and uses it to the end.

pub mod aside;
mod build;
pub mod changes;
pub mod commands;
pub mod events;
pub mod identity;
mod kept;
mod keys;
pub mod mismatch;
mod parts;
pub mod path;
mod payload;
mod problem;
pub mod published;
pub mod route;
pub mod services;
pub mod signer;
mod stores;
pub mod subscriptions;
mod upstreams;
mod via;

pub use build::{Outside, build, head_limits};
pub use kept::{KeptParts, Origin};
pub use problem::BuildProblem;

use crate::{config::Loaded, listener::head::HeadLimits, telemetry::metrics::RouteMetrics, upstream::Upstream};
use changes::Files;
use commands::Commands;
use events::EventSource;
use filters::{
    budget::Budget,
    chain::Chain,
    memory::MemoryBudgets,
    session::{Directory, Invalidations},
};
use http::{HeaderName, HeaderValue};
use identity::IdentityHeaders;
use ipnet::IpNet;
use path::Shut;
use published::PublishedKeys;
use route::{Matcher, RouteTable};
use services::RpcTarget;
use signer::Signer;
use std::{
    collections::{BTreeMap, HashSet},
    mem,
    net::IpAddr,
    sync::Arc,
};
pub use stores::{PlannedStore, SharedStore};
use subscriptions::{EventTarget, WebSocketTarget};
pub use via::Via;

/// A plan of no more routes is freed where it is let go of: to start a thread takes as long.
const FREED_AT_ONCE_MAX: usize = 100;

/// Everything that a request is decided by.
pub struct Plan {
    /// By the listeners' order in `listeners`.
    pub listeners: Vec<PlannedListener>,
    /// By the order in the file.
    pub routes: Vec<Arc<Route>>,
    /// Path prefixes that are shut from outside.
    pub shut: Shut,
    /// What requests to backends say of their way; nothing where it is off.
    pub via: Option<Via>,
    /// Headers that only the gateway writes.
    pub identity_headers: IdentityHeaders,
    /// The budgets by name, which can be changed while the plan is in force.
    pub budgets: BTreeMap<String, Arc<Budget>>,
    /// The sources of events that routes name, by name.
    pub events: BTreeMap<String, Arc<EventSource>>,
    /// What this instance counts by itself.
    pub(crate) instance: Arc<MemoryBudgets>,
    pub(crate) upstreams: KeptParts<Upstream>,
    pub(crate) sessions: KeptParts<Directory>,
    pub(crate) stores: KeptParts<PlannedStore>,
    /// What tells it from others: the configuration, and what the files hold that it names.
    pub revision: Origin,
    /// What the files hold that it names.
    pub(crate) files: Files,
    /// The headers that routes are found by.
    pub matched_headers: HashSet<HeaderName>,
    /// What it was compiled from.
    pub loaded: Arc<Loaded>,
}

impl Drop for Plan {
    /// The last to let go of a plan is often a request, and those behind it on its thread would wait.
    fn drop(&mut self) {
        if self.routes.len() > FREED_AT_ONCE_MAX {
            let listeners = mem::take(&mut self.listeners);
            aside::free((listeners, mem::take(&mut self.routes), Arc::clone(&self.loaded)));
        }
    }
}

/// What one listener serves.
pub struct PlannedListener {
    /// The name in the configuration.
    pub name: String,
    /// Whether it serves the admin pages instead of routes.
    pub is_admin: bool,
    /// The proxies that are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The largest body, and the largest decompressed message, in bytes.
    pub body_bytes_max: u64,
    /// The most that a request head may bring.
    pub head: HeadLimits,
    /// The routes that it serves.
    pub table: RouteTable,
}

impl PlannedListener {
    /// Whether an address is that of a trusted proxy.
    #[must_use]
    pub fn trusts(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.trusted_proxies.iter().any(|network| network.contains(&ip))
    }
}

/// A route: match → chain + target.
pub struct Route {
    /// The name in the configuration.
    pub name: String,
    /// What a request must have.
    pub matcher: Arc<Matcher>,
    /// The filters.
    pub chain: Chain,
    /// What happens to a request that passes.
    pub target: Target,
    /// Its counters.
    pub metrics: Arc<RouteMetrics>,
    /// What a request costs in every budget, at least 1.
    pub cost: u64,
    /// What tells it from others, to a stream that hangs on it.
    pub origin: Origin,
    /// Where its chain looks sessions up, if it does.
    pub sessions: Option<Arc<Directory>>,
}

/// What happens to a request that passes the chain.
pub enum Target {
    /// It is proxied.
    Forward(Forward),
    /// It is a call of a service that an upstream serves.
    Rpc(Arc<RpcTarget>),
    /// It is a call of `edge.v1.Gateway`.
    Commands(Arc<CommandTarget>),
    /// It is subscribed to events over WebSocket.
    WebSocket(Arc<WebSocketTarget>),
    /// It is subscribed to events as server-sent events.
    Sse(Arc<EventTarget>),
    /// It is answered with the public keys.
    Publish(Arc<PublishedKeys>),
}

/// How a request is proxied.
pub struct Forward {
    /// Where to.
    pub upstream: Arc<Upstream>,
    /// Whether a WebSocket upgrade may pass.
    pub websocket: bool,
    /// The `Host` that the backend sees; the client's where it is none.
    pub host: Option<HeaderValue>,
}

/// How a command is answered.
pub struct CommandTarget {
    /// The REST call of each message_type.
    pub commands: Arc<Commands>,
    /// The key that signs the answers.
    pub signer: Arc<Signer>,
    /// What devices may subscribe to on the same service.
    pub events: Option<Arc<EventSource>>,
    /// Sessions that were ended, for what is in flight.
    pub invalidations: Arc<Invalidations>,
}

impl Route {
    /// What a stream on it carries, as one word and a name; none where it has no long-lived streams.
    #[must_use]
    pub fn carries(&self) -> Option<String> {
        match &self.target {
            Target::Commands(target) => target.events.as_ref().map(|source| format!("events {}", source.name)),
            Target::Forward(Forward { websocket: false, .. }) | Target::Publish(_) => None,
            Target::Forward(_) | Target::Rpc(_) | Target::WebSocket(_) | Target::Sse(_) => Some(self.target_name()),
        }
    }

    /// The source of what a stream on it carries.
    #[must_use]
    pub fn events(&self) -> Option<&EventSource> {
        match &self.target {
            Target::Commands(target) => target.events.as_deref(),
            Target::WebSocket(target) => Some(&target.events.source),
            Target::Sse(target) => Some(&target.source),
            Target::Forward(_) | Target::Rpc(_) | Target::Publish(_) => None,
        }
    }

    /// Its target, as one word and a name.
    #[must_use]
    pub fn target_name(&self) -> String {
        match &self.target {
            Target::Forward(forward) => format!("forward {}", forward.upstream.name()),
            Target::Rpc(target) => format!("rpc {}", target.name),
            Target::Commands(target) => format!("commands {}", target.commands.name),
            Target::WebSocket(target) => format!("websocket {}", target.events.source.name),
            Target::Sse(target) => format!("sse {}", target.source.name),
            Target::Publish(_) => "publish signing_keys".to_owned(),
        }
    }
}

impl Plan {
    /// The stores that have to be kept connected while the plan is in force.
    pub fn shared_stores(&self) -> impl Iterator<Item = &SharedStore> {
        self.stores.values().filter_map(|kept| match kept.part.as_ref() {
            PlannedStore::Shared(shared) => Some(shared),
            PlannedStore::Memory(_) => None,
        })
    }

    /// The routes as they are tried: most specific first.
    #[must_use]
    pub fn routes_in_order(&self) -> Vec<&Route> {
        let mut routes: Vec<&Route> = self.routes.iter().map(AsRef::as_ref).collect();
        routes.sort_by(|a, b| route::by_specificity(&a.matcher, &b.matcher));
        routes
    }
}
