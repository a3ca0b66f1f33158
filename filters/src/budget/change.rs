//! Changes to a budget at run time.

use super::config::Mode;
use crate::api::units::{Duration, Rate};
use serde::{Deserialize, Serialize};

/// Far more than anybody can keep in mind.
const RULES_MAX: usize = 16;

/// What is to be changed of a budget; what is left out stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Whether its rules refuse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// The rules that each instance counts for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<Vec<Rate>>,
    /// The rules that every instance on the same store counts together. Each instance is changed for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<Vec<Rate>>,
    /// For how long; without it until the budget's own configuration is another.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub lasts: Option<Duration>,
}

/// A change that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Who made it.
    pub by: String,
    /// Since when, Unix milliseconds.
    pub since_ms: i64,
    /// Until when, where its end was given.
    pub until_ms: Option<i64>,
}

/// Why a budget cannot be changed so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeProblem {
    /// It would hold nobody to anything.
    #[error("the budget would have no rule")]
    NoRule,
    /// A chain that is built without a store cannot ask one.
    #[error("the budget has no shared rules, so it has no store: add shared rules in the configuration")]
    NoStore,
    /// More rules than a request should have to be held against.
    #[error("the budget would have more than {RULES_MAX} rules of one kind")]
    TooMany,
    /// It would be over at once.
    #[error("`for` must be more than nothing")]
    NoTime,
    /// Two rules that are the same.
    #[error("the rule {0} is there twice")]
    Twice(Rate),
}

impl Change {
    pub(super) fn check(&self, instance: &[Rate], shared: &[Rate], has_store: bool) -> Result<(), ChangeProblem> {
        if self.lasts.is_some_and(|lasts| lasts.get().is_zero()) {
            return Err(ChangeProblem::NoTime);
        }
        if instance.is_empty() && shared.is_empty() {
            return Err(ChangeProblem::NoRule);
        }
        if !shared.is_empty() && !has_store {
            return Err(ChangeProblem::NoStore);
        }
        for rates in [instance, shared] {
            if rates.len() > RULES_MAX {
                return Err(ChangeProblem::TooMany);
            }
            let twice = rates.iter().enumerate().find(|(index, rate)| rates.iter().take(*index).any(|r| r == *rate));
            if let Some((_, rate)) = twice {
                return Err(ChangeProblem::Twice(*rate));
            }
        }
        Ok(())
    }
}
