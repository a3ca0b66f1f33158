//! Which requests go where, and how commands become calls.

use super::{Sse, WebSocket};
use crate::wire::Encoding;
use filters::{
    api::units::{Duration, Size},
    table::ChainEntry,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, num::NonZeroU64, path::PathBuf};

/// Which requests go where.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The route's name, in metrics and logs.
    pub name: String,
    /// What a request must have.
    pub r#match: Match,
    /// What becomes of paths that backends read in different ways. For `forward` alone.
    #[serde(default, skip_serializing_if = "PathRules::is_default")]
    pub path: PathRules,
    /// The filters, in their order. An entry is a filter or the name of a chain.
    #[serde(default, deserialize_with = "filters::table::one_or_many")]
    #[schemars(with = "OneOrMany")]
    pub chain: Vec<ChainEntry>,
    /// What a request costs in every budget that it is held to.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub cost: NonZeroU64,
    /// Proxies to an upstream. A route has exactly one target: `forward`, `rpc`, `commands`, `websocket`, `sse` or
    /// `publish`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward: Option<Forward>,
    /// Serves RPC services of a gRPC upstream, in Connect, gRPC and gRPC-Web.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpc: Option<Rpc>,
    /// Serves `edge.v1.Gateway` with these commands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commands: Option<String>,
    /// Beside `commands`: the events that devices may subscribe to on the same service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<String>,
    /// Serves subscriptions to events over WebSocket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub websocket: Option<WebSocket>,
    /// Serves subscriptions to events as server-sent events, to POST.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sse: Option<Sse>,
    /// Publishes something of the gateway's own, to GET and HEAD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish: Option<Publish>,
}

impl Route {
    /// The upstream that it proxies to or whose services it serves. That of commands is theirs.
    #[must_use]
    pub fn upstream(&self) -> Option<&str> {
        self.forward.as_ref().map(Forward::upstream).or_else(|| self.rpc.as_ref().map(|rpc| rpc.upstream.as_str()))
    }

    /// The event source that it names, whatever serves it.
    #[must_use]
    pub fn event_source(&self) -> Option<&str> {
        let websocket = self.websocket.as_ref().map(WebSocket::events);
        self.events.as_deref().or(websocket).or_else(|| self.sse.as_ref().map(Sse::events))
    }
}

/// What becomes of paths that backends read in different ways. What is kept is forwarded as it came, where no reading of it
/// is shut or leads to another route.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PathRules {
    /// `%2F`, as in `/projects/group%2Fname`.
    pub encoded_slash: AmbiguousPath,
    /// `//`, as in `/bucket//key`.
    pub double_slash: AmbiguousPath,
    /// An escape within an escape, such as `%2520`.
    pub encoded_percent: AmbiguousPath,
}

impl PathRules {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What becomes of an ambiguous path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AmbiguousPath {
    /// It is answered with 400.
    #[default]
    Refuse,
    /// It is served.
    Keep,
}

/// What a route publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Publish {
    /// The public halves of all keys of `signing`, as a JWK Set (RFC 7517).
    SigningKeys,
}

fn one() -> NonZeroU64 {
    NonZeroU64::MIN
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
    /// The host, without port: `api.example.com`, or `*.example.com` for every name below it. Case and a dot at the end make
    /// no difference.
    pub host: Option<String>,
    /// The whole path, with `{name}` for one segment; `/*` at its end takes everything below.
    pub path: Option<String>,
    /// An RPC service, such as `edge.v1.Gateway`: short for the path `/edge.v1.Gateway/*`.
    pub rpc: Option<String>,
    /// The method, or several; any where it is left out.
    #[serde(deserialize_with = "crate::config::values::strings")]
    #[schemars(with = "crate::config::values::Strings")]
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
    /// The `Host` that the backend sees: the client's, without a dot at its end, unless it is given here.
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

/// RPC services of a gRPC upstream.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rpc {
    /// The upstream, which is spoken to as gRPC over HTTP/2: in cleartext (h2c) where its endpoint is `http://`, over
    /// TLS where it is `https://`.
    pub upstream: String,
    /// A file that describes the services: a `google.protobuf.FileDescriptorSet` with all that it imports, as
    /// `buf build -o FILE` and `protoc --include_imports -o FILE` write it.
    pub descriptors: PathBuf,
    /// The services that may be called; left out, the one that `match` names with `rpc`.
    #[serde(default)]
    pub services: Vec<String>,
    /// How messages to the upstream are compressed, and what it may answer in. Toward clients each chooses itself.
    #[serde(default)]
    pub compression: Encoding,
    /// The largest message that the upstream may answer with, decompressed. Of those of clients `limits.body` of
    /// the listener decides.
    #[serde(default = "message_max_by_default")]
    pub message_max: Size,
    /// How long a stream may be silent in both directions; it is ended with UNAVAILABLE then.
    #[serde(default = "idle_by_default")]
    pub idle: Duration,
}

/// What gRPC's own libraries take unless told otherwise.
fn message_max_by_default() -> Size {
    Size::from_bytes(4 << 20)
}

fn idle_by_default() -> Duration {
    Duration::from_secs(300)
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

impl Call {
    /// Its path, as it is written.
    pub(crate) fn path(&self) -> &str {
        match self {
            Self::Get(path) | Self::Post(path) | Self::Put(path) | Self::Patch(path) | Self::Delete(path) => path,
        }
    }
}
