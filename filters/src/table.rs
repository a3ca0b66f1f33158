//! The table of filters: which there are, and how chains name them.

use crate::api::{BuildFault, ConfigProblem, Configured, Filter, Parts, Reference, forms::Forms};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use std::sync::LazyLock;

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
            pub fn bare(name: &str) -> Option<&'static Self> {
                static BARE: LazyLock<Vec<FilterConfig>> = LazyLock::new(|| {
                    let bare = [$(serde_json::from_str("{}").ok().map(FilterConfig::$module),)*];
                    bare.into_iter().flatten().collect()
                });
                BARE.iter().find(|filter| filter.name() == name)
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, path::Path};

    /// The YAML blocks of a filter's documentation.
    fn examples(name: &str) -> Vec<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let places = [folder.join(format!("{name}.rs")), folder.join(name).join("mod.rs")];
        let source = places.iter().find_map(|place| fs::read_to_string(place).ok()).unwrap();
        let docs: Vec<&str> = source.lines().map_while(|line| line.strip_prefix("//!")).collect();
        let docs = docs.iter().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n");
        docs.split("```yaml\n").skip(1).map(|block| block.split("```").next().unwrap().to_owned()).collect()
    }

    #[test]
    fn every_filter_documents_an_example_that_holds() {
        for name in NAMES {
            let examples = examples(name);
            assert!(!examples.is_empty(), "{name} has no example");
            for example in examples {
                let entries: Vec<ChainEntry> = serde_yaml::from_str(&example).unwrap_or_else(|f| panic!("{name}: {f}"));
                assert!(!entries.is_empty(), "{name}");
                for entry in entries {
                    let config = match entry {
                        ChainEntry::Name(name) => FilterConfig::bare(&name).unwrap().clone(),
                        ChainEntry::Filter(config) => *config,
                    };
                    assert_eq!(config.name(), *name);
                    assert_eq!(config.problems(), [], "{name}");
                }
            }
        }
    }

    #[test]
    fn filters_without_a_need_for_configuration_may_stand_bare() {
        let bare: Vec<_> = NAMES.iter().copied().filter(|name| FilterConfig::bare(name).is_some()).collect();
        assert_eq!(bare, ["request_id", "headers", "ip", "envelope", "payload_hash", "signature", "freshness"]);
        assert!(FilterConfig::bare("public_auth").is_none());
    }

    #[derive(Debug, Deserialize)]
    struct Route {
        #[serde(deserialize_with = "one_or_many")]
        chain: Vec<ChainEntry>,
    }

    #[test]
    fn a_chain_is_one_entry_or_a_list() {
        for (yaml, names) in [
            ("chain: public", &["public"][..]),
            ("chain: { budget: a }", &["budget"]),
            ("chain: [public, { budget: [a] }, { freshness: { past: 5s } }]", &["public", "budget", "freshness"]),
            ("chain: []", &[]),
        ] {
            let route: Route = serde_yaml::from_str(yaml).unwrap();
            let entries = route.chain.iter().map(|entry| match entry {
                ChainEntry::Name(name) => name.as_str(),
                ChainEntry::Filter(filter) => filter.name(),
            });
            assert_eq!(entries.collect::<Vec<_>>(), names, "{yaml}");
        }
    }

    #[test]
    fn mistakes_keep_their_message_and_their_line() {
        for (yaml, messages) in [
            ("chain:\n  - { freshnes: {} }", &["unknown variant `freshnes`", "`freshness`", "line 2"][..]),
            ("chain:\n  - envelope\n  - freshness: { psat: 5s }", &["unknown field `psat`", "line 3"]),
            ("chain: { freshness: { past: 5 } }", &["`5` is no duration"]),
            ("chain: { freshness: { past: 5x } }", &["`5x` is no duration", "line 1"]),
            ("chain: [{ body: {} }]", &["missing field `max`"]),
            ("chain: 5", &["expected a chain"]),
            ("chain: [5]", &["expected the name of a filter or chain"]),
            ("chain: [{ freshness: {}, envelope: {} }]", &["line 1"]),
            ("chain: [{}]", &["line 1"]),
        ] {
            let fault = serde_yaml::from_str::<Route>(yaml).unwrap_err().to_string();
            for message in messages {
                assert!(fault.contains(message), "{yaml}: {fault}");
            }
        }
    }

    /// A configuration that is shown again is the one that was read.
    #[test]
    fn entries_are_written_as_they_are_read() {
        let json = r#"["public",{"budget":["a"]},{"session":"devices"},{"freshness":{"past":"5s","future":"30s"}}]"#;
        let entries: Vec<ChainEntry> = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&entries).unwrap(), json);
    }

    /// Every field that an operator can write is explained where the schema is shown.
    #[test]
    fn the_schema_explains_every_field() {
        let schema = serde_json::to_value(schemars::schema_for!(Vec<ChainEntry>)).unwrap();
        let mut undescribed = Vec::new();
        undocumented("", &schema, &mut undescribed);
        assert_eq!(undescribed, Vec::<String>::new());
    }

    fn undocumented(place: &str, schema: &serde_json::Value, found: &mut Vec<String>) {
        if let Some(properties) = schema.get("properties").and_then(|properties| properties.as_object()) {
            for (name, property) in properties {
                if property.get("description").is_none() && !NAMES.contains(&name.as_str()) {
                    found.push(format!("{place}/{name}"));
                }
            }
        }
        for (name, value) in schema.as_object().into_iter().flatten() {
            undocumented(&format!("{place}/{name}"), value, found);
        }
        for (index, value) in schema.as_array().into_iter().flatten().enumerate() {
            undocumented(&format!("{place}/{index}"), value, found);
        }
    }
}
