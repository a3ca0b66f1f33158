//! How a running gateway takes up another configuration.

use filters::api::units::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a running gateway takes up another configuration.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Reload {
    /// Whether it does so when this file, or a file that it names, has changed; else only when it is told to.
    pub watch: bool,
    /// How many configurations that were in force are kept for `portcullis rollback`; 0 keeps none.
    pub history: usize,
    /// What becomes of open streams whose route is another now or gone. Those of other routes are never touched.
    pub streams: ReloadStreams,
    /// A reload that would end more streams than so many is refused, unless it is forced; left out, none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_streams_cut: Option<usize>,
}

/// What becomes of open streams whose route is another now or gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReloadStreams {
    /// They stay where their request would find the same source or upstream now, and their session is still good.
    /// The others are ended as for a stop.
    Keep,
    /// They are ended one after the other within this time, and come back to what is there now.
    Drain(Duration),
    /// They are ended at once.
    Cut,
}

impl Default for Reload {
    fn default() -> Self {
        // Clients of a stream that is kept notice nothing; what it may not do any more, it is not kept for.
        Self { watch: true, history: 10, streams: ReloadStreams::Keep, max_streams_cut: None }
    }
}
