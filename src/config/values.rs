//! Values that may be written in more than one way.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

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
