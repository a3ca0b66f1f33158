//! The keys that sign answers, and the markers of everything signed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

/// The keys that sign answers, and the domain markers of everything signed.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Signing {
    /// The keys, by `key_id`. The active one signs. A route can publish the public halves of all, so that clients
    /// verify with both while one follows the other.
    pub keys: BTreeMap<String, Key>,
    /// The `key_id` of the key that signs.
    pub active: String,
    /// The domain markers.
    #[serde(default)]
    pub markers: Markers,
}

/// A signing key.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(extend("writeOnly" = true))]
pub enum Key {
    /// The private key, by reference: a PKCS#8 PEM.
    Private(Secret),
    /// Its public half alone.
    Public(PublicHalf),
}

/// A key that is published and signs nothing here: its private half is elsewhere, or destroyed.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublicHalf {
    /// The standard base64 of its 32 bytes.
    pub public: String,
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
