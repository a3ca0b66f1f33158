//! How a filter comes out of its configuration.

use super::{Clock, Filter, Store};
use crate::{budget::Budget, memory::MemoryBudgets, session::Directory};
use proto::signing::Markers;
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, sync::Arc};

/// Something named elsewhere in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// A key of `budgets`.
    Budget,
    /// A key of `sessions`.
    Sessions,
    /// A key of `stores`.
    Store,
}

/// A name that a filter's configuration uses, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// What kind of thing is named.
    pub kind: Named,
    /// The name.
    pub name: String,
    /// JSON pointer from the filter's configuration to the name; empty where the configuration is the name.
    pub pointer: String,
}

/// Something wrong in a filter's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblem {
    /// JSON pointer from the filter's configuration to the culprit.
    pub pointer: String,
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub remedy: String,
}

/// Everything that filters are built from, by the names of the configuration.
pub struct Parts {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The domain markers of signing inputs.
    pub markers: Markers,
    /// The sessions of each lookup.
    pub sessions: BTreeMap<String, Arc<Directory>>,
    /// The stores.
    pub stores: BTreeMap<String, Arc<dyn Store>>,
    /// What this instance counts by itself.
    pub instance: Arc<MemoryBudgets>,
    /// The budgets.
    pub budgets: BTreeMap<String, Arc<Budget>>,
}

/// A name without its thing. The configuration's checks find these first; this is for those who build
/// without them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{filter}: {what}")]
pub struct BuildFault {
    /// The filter's name.
    pub filter: &'static str,
    /// What is missing or wrong.
    pub what: String,
}

/// A filter's configuration: what an operator writes, and how it becomes a filter.
pub trait Configured: Serialize + DeserializeOwned + JsonSchema {
    /// The filter's name in chains.
    const NAME: &'static str;

    /// Filters that must stand ahead of this one in every chain that has it.
    const AFTER: &'static [&'static str] = &[];

    /// Whether a chain may have it only once.
    const ONCE: bool = false;

    /// The names that it uses.
    fn references(&self) -> Vec<Reference> {
        Vec::new()
    }

    /// What is wrong within it, beyond what its types rule out.
    fn problems(&self) -> Vec<ConfigProblem> {
        Vec::new()
    }

    /// The filter.
    ///
    /// # Errors
    /// Where a name that it uses is not among the parts.
    fn build(&self, parts: &Parts) -> Result<Box<dyn Filter>, BuildFault>;
}
