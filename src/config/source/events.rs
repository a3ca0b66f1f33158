//! What is pushed to devices, and where it comes from.

use super::UpstreamTls;
use filters::api::units::{Duration, Size};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Events that a backend pushes, and how they are handed to devices.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Events {
    /// The backend's stream.
    pub feed: EventFeed,
    /// What waits for a device that reads slowly. With more it is cut off, and may resume.
    #[serde(default)]
    pub queue: EventQueue,
    /// What is kept for devices that resume.
    #[serde(default)]
    pub history: EventHistory,
    /// How long a stream may be silent before it carries a heartbeat.
    #[serde(default = "heartbeat_by_default")]
    pub heartbeat: Duration,
    /// How many streams are open at once.
    #[serde(default)]
    pub streams: EventStreams,
    /// How events of a kind are handed on, where not each and at once.
    #[serde(default)]
    pub kinds: BTreeMap<String, EventKind>,
}

/// How events of one kind are handed on.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventKind {
    /// Which events are values of one thing, of which the latest is enough: one that still waits for a device gives
    /// way to a newer one. `kind`: all of this kind; `payload.<field>`, or several of them: those that have the same
    /// values there.
    #[serde(default, deserialize_with = "crate::config::values::strings")]
    #[schemars(with = "crate::config::values::Strings")]
    pub coalesce: Vec<String>,
    /// What lies at least between two deliveries to one device; what comes meanwhile waits. An event of another kind
    /// takes what waits ahead of it along, because the order is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_interval: Option<Duration>,
}

/// The backend's stream of events: `push.v1.Push`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventFeed {
    /// The backend's address: `http://host:port`, or `https://host:port` for TLS. It is spoken to as gRPC over HTTP/2.
    pub grpc: String,
    /// How an `https://` address is spoken to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<UpstreamTls>,
    /// Who this instance is to the backend; `node.id` where it is left out. No two instances may have the same: the
    /// backend would end the stream of one for the other's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_client_id: Option<String>,
    /// The largest event that is taken. One that is larger is skipped, and devices are told of a gap.
    #[serde(default = "message_max_by_default")]
    pub message_max: Size,
    /// Until the connection stands.
    #[serde(default = "connect_timeout_by_default")]
    pub connect_timeout: Duration,
    /// How long the backend may be silent until it is asked whether it lives; without an answer in 20 s the stream is
    /// opened anew. gRPC servers that are not set up for it end a connection that asks more often than every 5m.
    #[serde(default = "ping_by_default")]
    pub ping: Duration,
}

/// What waits for one device at most.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EventQueue {
    /// The most events.
    pub events: usize,
    /// The most memory that they take, 640 bytes of each event beside its own. One is always taken, whatever its size.
    pub bytes: Size,
}

impl Default for EventQueue {
    fn default() -> Self {
        Self { events: 256, bytes: Size::from_bytes(1 << 20) }
    }
}

/// What is kept for devices that resume. The least of the three decides.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EventHistory {
    /// The most events, those for all devices together.
    pub events: usize,
    /// The most memory that they take.
    pub bytes: Size,
    /// How long one is kept.
    pub r#for: Duration,
}

impl Default for EventHistory {
    fn default() -> Self {
        Self { events: 1024, bytes: Size::from_bytes(64 << 20), r#for: Duration::from_secs(120) }
    }
}

/// How many streams are open at once.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EventStreams {
    /// In all.
    pub max: usize,
    /// Of one device session.
    pub per_session: usize,
    /// Of one user.
    pub per_user: usize,
    /// From one IPv4 address or one IPv6 /64.
    pub per_ip: usize,
}

impl Default for EventStreams {
    fn default() -> Self {
        Self { max: 100_000, per_session: 4, per_user: 64, per_ip: 2_000 }
    }
}

fn heartbeat_by_default() -> Duration {
    Duration::from_secs(15)
}

fn message_max_by_default() -> Size {
    Size::from_bytes(1 << 20)
}

fn ping_by_default() -> Duration {
    Duration::from_secs(310)
}

fn connect_timeout_by_default() -> Duration {
    Duration::from_secs(2)
}
