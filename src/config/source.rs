//! `gateway.yaml` as an operator writes it. The documentation of each field is what `portcullis schema`
//! and editors show.

use filters::{
    api::units::{Duration, Size},
    budget::BudgetConfig,
    table::ChainEntry,
};
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

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
    /// Path prefixes that are never reachable from outside, on the canonical path, ahead of any route.
    #[serde(default = "shut_by_default")]
    pub shut: Vec<String>,
    /// Headers that only the gateway may write; a client's own are dropped on every route, `_` for `-` included.
    #[serde(default = "identity_headers_by_default")]
    pub identity_headers: Vec<String>,
    /// Logs and metrics.
    #[serde(default)]
    pub observe: Observe,
    /// How the process stops.
    #[serde(default)]
    pub drain: Drain,
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
}

impl Default for Node {
    fn default() -> Self {
        Self { id: "gw-1".to_owned(), threads: 0 }
    }
}

/// One address and what is spoken on it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// IP address and port. Port 0 takes a free one, which the ready line names.
    #[schemars(extend("format" = "socket-address"))]
    pub bind: SocketAddr,
    /// The protocols; with `tls`, `h2` is offered by ALPN.
    #[serde(default = "protocols_by_default")]
    pub protocols: Vec<Protocol>,
    /// Certificate and key; without it the listener speaks cleartext.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// Networks (`10.0.0.0/8`) and addresses of proxies whose `X-Forwarded-For` is believed.
    #[serde(default)]
    pub trusted_proxies: Vec<String>,
    /// The most that one request may bring.
    #[serde(default)]
    pub limits: Limits,
    /// Serves `/livez`, `/readyz`, `/metrics` and the configuration instead of routes. Loopback only.
    #[serde(default)]
    pub admin: bool,
}

fn protocols_by_default() -> Vec<Protocol> {
    vec![Protocol::Http1, Protocol::H2]
}

/// A protocol of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(extend("enum" = ["http1", "h2", "h2c"]), transform = one_enum)]
pub enum Protocol {
    /// HTTP/1.1 (and 1.0).
    Http1,
    /// HTTP/2: by ALPN under TLS, by prior knowledge (`h2c`, which is taken for `h2`) without.
    #[serde(alias = "h2c")]
    H2,
}

/// An alias of serde's is not in the generated schema, so the names are given whole.
fn one_enum(schema: &mut Schema) {
    schema.remove("oneOf");
    schema.insert("type".to_owned(), "string".into());
}

/// Certificate and key of a listener.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM file: the certificate, then its chain.
    pub certificate: PathBuf,
    /// PEM file: the private key.
    pub key: PathBuf,
}

/// The most that one request may bring.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Request line and headers together.
    pub head: Size,
    /// Number of headers.
    pub headers: usize,
    /// Body, and a decompressed message.
    pub body: Size,
    /// Concurrent streams of one HTTP/2 connection.
    pub streams: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head: Size::from_bytes(32 << 10), headers: 100, body: Size::from_bytes(1 << 20), streams: 128 }
    }
}

/// What every connection is held to.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Connections {
    /// The most that are open at once, over all listeners. The admin listener does not count.
    pub max: usize,
    /// The most from one address: an IPv4 address, or an IPv6 /64.
    pub per_ip: usize,
    /// From the first byte (of a new connection: from the accept) to the end of the head.
    pub head_deadline: Duration,
    /// Between two reads of a body.
    pub body_idle: Duration,
    /// From the end of the head to the end of a body that a filter or a handler reads whole.
    pub body_deadline: Duration,
    /// How long a connection may wait for its next request.
    pub keepalive: Duration,
    /// Until a write to the client has made progress.
    pub write: Duration,
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            max: 20_000,
            per_ip: 2_000,
            head_deadline: Duration::from_secs(10),
            body_idle: Duration::from_secs(30),
            body_deadline: Duration::from_secs(60),
            keepalive: Duration::from_secs(75),
            write: Duration::from_secs(30),
        }
    }
}

/// Where replay ids and shared budgets are kept.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Store {
    /// In this process: not shared with another instance, and lost when it ends.
    Memory(MemoryStore),
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
    /// Their addresses: `http://host:port`. Requests go to them in turn.
    #[schemars(length(min = 1))]
    pub endpoints: Vec<String>,
    /// How long each step may take.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// The pool of kept connections.
    #[serde(default)]
    pub pool: Pool,
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
    /// From the request's arrival to the end of the answer. WebSocket connections are not held to it.
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
}

fn session_path_by_default() -> String {
    "/api/v1/internal/sessions/{id}".to_owned()
}

fn session_timeout_by_default() -> Duration {
    Duration::from_secs(2)
}

/// The keys that sign answers, and the domain markers of everything signed.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Signing {
    /// The keys, by `key_id`.
    pub keys: BTreeMap<String, Secret>,
    /// The `key_id` of the key that signs.
    pub active: String,
    /// The domain markers.
    #[serde(default)]
    pub markers: Markers,
}

/// A secret, by reference: never written into the configuration itself.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(extend("writeOnly" = true))]
pub enum Secret {
    /// A file that holds it. A relative path is taken from the configuration's folder.
    File(PathBuf),
    /// An environment variable that holds it.
    Env(String),
}

/// The domain markers of signing inputs, for estates whose clients sign with others.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Markers {
    /// Of requests.
    pub request: String,
    /// Of responses.
    pub response: String,
    /// Of events.
    pub event: String,
}

impl Default for Markers {
    fn default() -> Self {
        let proto::signing::Markers { request, response, event } = proto::signing::Markers::default();
        Self { request, response, event }
    }
}

/// Which requests go where.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The route's name, in metrics and logs.
    pub name: String,
    /// What a request must have.
    pub r#match: Match,
    /// The filters, in their order. An entry is a filter or the name of a chain.
    #[serde(default, deserialize_with = "filters::table::one_or_many")]
    #[schemars(with = "OneOrMany")]
    pub chain: Vec<ChainEntry>,
    /// Proxies to an upstream. A route has exactly one target: `forward` or `commands`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward: Option<Forward>,
    /// Serves `edge.v1.Gateway` with these commands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commands: Option<String>,
}

/// One chain entry, or a list of them.
#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "only its schema is used")]
enum OneOrMany {
    One(ChainEntry),
    Many(Vec<ChainEntry>),
}

/// What a request must have. Everything that is given must hold.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Match {
    /// The listener's name; any where it is left out.
    pub listener: Option<String>,
    /// The host, without port: `api.example.com`, or `*.example.com` for every name below it.
    pub host: Option<String>,
    /// The whole path, with `{name}` for one segment; `/*` at its end takes everything below.
    pub path: Option<String>,
    /// An RPC service, such as `edge.v1.Gateway`: short for the path `/edge.v1.Gateway/*`.
    pub rpc: Option<String>,
    /// The method, or several; any where it is left out.
    #[serde(deserialize_with = "super::values::strings")]
    #[schemars(with = "super::values::Strings")]
    pub method: Vec<String>,
    /// Headers and their values.
    pub headers: BTreeMap<String, String>,
}

/// How a request is proxied: an upstream's name, or more.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Forward {
    /// To this upstream.
    Upstream(String),
    /// To an upstream, with options.
    Options(ForwardOptions),
}

/// How a request is proxied.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForwardOptions {
    /// The upstream's name.
    pub upstream: String,
    /// Whether a WebSocket upgrade may pass.
    #[serde(default)]
    pub websocket: bool,
    /// The `Host` that the backend sees: the client's, unless it is given here.
    #[serde(default)]
    pub host: Option<String>,
}

impl Forward {
    /// The upstream's name.
    #[must_use]
    pub fn upstream(&self) -> &str {
        match self {
            Self::Upstream(upstream) => upstream,
            Self::Options(options) => &options.upstream,
        }
    }
}

/// How commands become REST calls.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Commands {
    /// The upstream that serves them.
    pub upstream: String,
    /// The REST call of each message_type.
    pub routes: BTreeMap<String, Call>,
}

/// A REST call: the method, and the path with `{payload.field}` for fields of the payload.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names are the HTTP methods")]
pub enum Call {
    Get(String),
    Post(String),
    Put(String),
    Patch(String),
    Delete(String),
}

/// Logs and metrics.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Observe {
    /// One line a request.
    pub access_log: AccessLog,
    /// Everything else that is logged, to stderr.
    pub log: Log,
}

/// One line a request, as JSON.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AccessLog {
    /// Where the lines go.
    pub to: AccessLogTarget,
}

impl Default for AccessLog {
    fn default() -> Self {
        Self { to: AccessLogTarget::Stdout }
    }
}

/// Where access lines go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccessLogTarget {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// Nowhere.
    Off,
    /// A file that is appended to.
    File(PathBuf),
}

/// The process log.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// The least level that is written.
    pub level: Level,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: Level::Info }
    }
}

/// A log level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names are the levels")]
pub enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
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
