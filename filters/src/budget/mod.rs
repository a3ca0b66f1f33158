//! Holds callers to their budgets.
//!
//! Against floods, guessed codes and one caller who takes everybody's share. Every rule of every named budget
//! must allow a request, and a request that any of them refuses is counted by none. Rules that each instance
//! counts for itself are asked first, so that a flood does not reach a shared store. Place a budget by
//! address ahead of what costs most, and those by session and user behind what proves them. Budgets that stand
//! next to each other, and next to `replay`, ask their store together, once.
//!
//! Where a shared store is out of reach, each budget's `on_store_error` decides; what the instance counts
//! itself holds in any case.
//!
//! ```yaml
//! - budget: public_ip
//! - budget: [edge_session, edge_user]
//! ```

mod change;
mod config;
mod key;
mod live;
mod peaks;

pub use change::{Change, ChangeProblem, Changed};
pub use config::{BudgetConfig, Mode, OnStoreError};
pub use key::{Key, Needs};
pub use live::{Budget, Counts, Rule, Rules};

use crate::{
    api::{BuildFault, ConfigProblem, Configured, Filter, Named, Parts, Reference, forms::Forms},
    claims::Claims,
};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// Holds callers to their budgets: the name of one in `budgets`, or a list of names.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Config {
    /// The name of a budget.
    One(String),
    /// The names of budgets, all of which must allow the request.
    Many(Vec<String>),
}

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Forms::without_map("the name of a budget, or a list of names", Self::One, Self::Many).read(deserializer)
    }
}

impl Config {
    /// The budgets' names.
    #[must_use]
    pub fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Many(names) => names,
        }
    }

    /// JSON pointer from this to the name at `index`.
    #[must_use]
    pub fn pointer(&self, index: usize) -> String {
        match self {
            Self::One(_) => String::new(),
            Self::Many(_) => format!("/{index}"),
        }
    }
}

impl Configured for Config {
    const NAME: &'static str = "budget";

    fn references(&self) -> Vec<Reference> {
        let names = self.names().iter().enumerate();
        names
            .map(|(index, name)| Reference { kind: Named::Budget, name: name.clone(), pointer: self.pointer(index) })
            .collect()
    }

    fn problems(&self) -> Vec<ConfigProblem> {
        if !self.names().is_empty() {
            return Vec::new();
        }
        let remedy = "name a budget, or leave the filter out".to_owned();
        vec![ConfigProblem { pointer: String::new(), what: "no budget is named".to_owned(), remedy }]
    }

    fn build(&self, parts: &Parts) -> Result<Box<dyn Filter>, BuildFault> {
        Ok(Box::new(Claims::new(None, self.names(), parts)?))
    }
}

#[cfg(test)]
mod tests;
