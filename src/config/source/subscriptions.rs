//! Where devices subscribe to events other than by RPC.

use filters::api::units::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Serves subscriptions over WebSocket: an event source's name, or more.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum WebSocket {
    /// To this event source.
    Events(String),
    /// To an event source, with options.
    Options(WebSocketOptions),
}

/// How subscriptions are served over WebSocket.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebSocketOptions {
    /// The event source's name.
    pub events: String,
    /// The origins whose pages may connect, exact: `https://app.example.com`, with the port where it is not the scheme's
    /// own. Those of the host that is asked, where none is given. What comes without an origin is no page.
    #[serde(default)]
    pub origins: Vec<String>,
    /// How long a client may take to send its request, once it is connected.
    #[serde(default = "first_message_by_default")]
    pub first_message: Duration,
    /// How long a client may be silent. It is pinged half way.
    #[serde(default = "idle_by_default")]
    pub idle: Duration,
}

/// Serves subscriptions as server-sent events: an event source's name, or more.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Sse {
    /// To this event source.
    Events(String),
    /// The same, by its key.
    Options(SseOptions),
}

/// How subscriptions are served as server-sent events.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SseOptions {
    /// The event source's name.
    pub events: String,
}

impl WebSocket {
    /// The event source's name.
    #[must_use]
    pub fn events(&self) -> &str {
        match self {
            Self::Events(events) => events,
            Self::Options(options) => &options.events,
        }
    }

    /// With what was left out.
    #[must_use]
    pub fn options(&self) -> WebSocketOptions {
        match self {
            Self::Options(options) => options.clone(),
            Self::Events(events) => WebSocketOptions {
                events: events.clone(),
                origins: Vec::new(),
                first_message: first_message_by_default(),
                idle: idle_by_default(),
            },
        }
    }
}

impl Sse {
    /// The event source's name.
    #[must_use]
    pub fn events(&self) -> &str {
        match self {
            Self::Events(events) => events,
            Self::Options(options) => &options.events,
        }
    }
}

fn first_message_by_default() -> Duration {
    Duration::from_secs(5)
}

fn idle_by_default() -> Duration {
    Duration::from_secs(60)
}
