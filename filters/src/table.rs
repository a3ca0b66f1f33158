//! The table of filters: which there are, and how chains name them.

use crate::api::{BuildFault, ConfigProblem, Configured, Filter, Parts, Reference, forms::Forms};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

macro_rules! table {
    ($($(#[doc = $doc:literal])* $module:ident,)*) => {
        /// One filter and its configuration.
        #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        #[allow(non_camel_case_types, reason = "a variant is named as its module and its key in a chain")]
        pub enum FilterConfig { $($(#[doc = $doc])* $module(crate::$module::Config),)* }

        /// The names of all filters.
        pub const NAMES: &[&str] = &[$(crate::$module::Config::NAME,)*];

        impl FilterConfig {
            /// The filter of this name with nothing configured, where it can do without configuration.
            #[must_use]
            pub fn bare(name: &str) -> Option<Self> {
                $(if name == crate::$module::Config::NAME {
                    return serde_json::from_str("{}").ok().map(Self::$module);
                })*
                None
            }

            /// The filter's name.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self { $(Self::$module(_) => crate::$module::Config::NAME,)* }
            }

            /// The filters that must stand ahead of it.
            #[must_use]
            pub fn after(&self) -> &'static [&'static str] {
                match self { $(Self::$module(_) => crate::$module::Config::AFTER,)* }
            }

            /// Whether a chain may have it only once.
            #[must_use]
            pub fn is_once(&self) -> bool {
                match self { $(Self::$module(_) => crate::$module::Config::ONCE,)* }
            }

            /// The names that it uses.
            #[must_use]
            pub fn references(&self) -> Vec<Reference> {
                match self { $(Self::$module(config) => config.references(),)* }
            }

            /// What is wrong within it.
            #[must_use]
            pub fn problems(&self) -> Vec<ConfigProblem> {
                match self { $(Self::$module(config) => config.problems(),)* }
            }

            /// The filter.
            ///
            /// # Errors
            /// Where a name that it uses is not among the parts.
            pub fn build(&self, parts: &Parts) -> Result<Box<dyn Filter>, BuildFault> {
                match self { $(Self::$module(config) => config.build(parts),)* }
            }
        }
    };
}

table! {
    /// Gives every request an id.
    request_id,
    /// Limits the body, and takes it as JSON.
    body,
    /// Strips and sets headers.
    headers,
    /// Lets browsers of other origins call.
    cors,
    /// Allows and denies client addresses.
    ip,
    /// Holds callers to their budgets.
    budget,
    /// Checks the command's fields.
    envelope,
    /// Looks the device session up.
    session,
    /// Holds the payload against its hash.
    payload_hash,
    /// Verifies the command's signature.
    signature,
    /// Holds the command's timestamp against the clock.
    freshness,
    /// Accepts each command once.
    replay,
}

/// An entry of a chain: a filter with its configuration, or a name. A name is a filter that needs no
/// configuration, or another chain that is put in its place.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum ChainEntry {
    /// A filter that needs no configuration, or a chain.
    Name(String),
    /// A filter and its configuration.
    Filter(Box<FilterConfig>),
}

impl From<FilterConfig> for ChainEntry {
    fn from(config: FilterConfig) -> Self {
        Self::Filter(Box::new(config))
    }
}

impl<'de> Deserialize<'de> for ChainEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "the name of a filter or chain, or a filter with its configuration";
        Forms::without_list(expected, Self::Name, |config: FilterConfig| config.into()).read(deserializer)
    }
}

/// Reads a chain that is written as one entry or as a list of them.
///
/// # Errors
/// Where it is neither.
pub fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<ChainEntry>, D::Error> {
    let expected = "a chain: the name of a filter or chain, a filter with its configuration, or a list of these";
    Forms::new(
        expected,
        |name| vec![ChainEntry::Name(name)],
        |entries: Vec<ChainEntry>| entries,
        |config: FilterConfig| vec![config.into()],
    )
    .read(deserializer)
}
