//! Values that may be written in more than one way.

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use std::net::IpAddr;

/// One string, or a list of them.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Strings {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

/// Reads one string or a list of them.
pub(crate) fn strings<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(match Strings::deserialize(deserializer)? {
        Strings::One(one) => vec![one],
        Strings::Many(many) => many,
    })
}

/// Reads a network (`10.0.0.0/8`), or one address as a network of its own.
#[must_use]
pub fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}
