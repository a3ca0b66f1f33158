//! Holds callers to their budgets.
//!
//! Against floods, guessed codes and one caller who takes everybody's share. Every rule of every named budget
//! must allow a request, and a request that any of them refuses is counted by none. Rules that each instance
//! counts for itself are asked first, so that a flood does not reach a shared store. Place a budget by
//! address ahead of what costs most, and those by session and user behind what proves them.
//!
//! Where a shared store is out of reach, the request is refused with `BUDGET_STORE_UNAVAILABLE`, or passes
//! with `on_fault: pass`; what the instance counts itself holds in both cases.
//!
//! ```yaml
//! - budget: public_ip
//! - budget: [edge_session, edge_user]
//! - budget: { of: [email], on_fault: pass }
//! ```

mod config;
mod key;
mod tab;

pub use config::BudgetConfig;
pub use key::{Key, Needs};

use crate::api::{
    BudgetStore, BuildFault, Check, ConfigProblem, Configured, Exchange, Filter, Named, OnFault, Parts, Reference,
    Step, forms::Forms, units::Rate,
};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use std::{collections::BTreeMap, sync::Arc};
use tab::{Counter, Rule, Tab};

/// Holds callers to their budgets: the name of one in `budgets`, a list of names, or more.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Config {
    /// The name of a budget.
    One(String),
    /// The names of budgets, all of which must allow the request.
    Many(Vec<String>),
    /// Budgets, with options.
    Options(Options),
}

/// Budgets, with options.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The names of budgets, all of which must allow the request.
    pub of: Vec<String>,
    /// What happens when the store of shared rules is out of reach.
    #[serde(default)]
    pub on_fault: OnFault,
}

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "the name of a budget, a list of names, or `of` in a map";
        Forms::new(expected, Self::One, Self::Many, Self::Options).read(deserializer)
    }
}

impl Config {
    /// The budgets' names.
    #[must_use]
    pub fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Many(names) | Self::Options(Options { of: names, .. }) => names,
        }
    }

    /// JSON pointer from this to the name at `index`.
    #[must_use]
    pub fn pointer(&self, index: usize) -> String {
        match self {
            Self::One(_) => String::new(),
            Self::Many(_) => format!("/{index}"),
            Self::Options(_) => format!("/of/{index}"),
        }
    }

    fn on_fault(&self) -> OnFault {
        match self {
            Self::Options(options) => options.on_fault,
            Self::One(_) | Self::Many(_) => OnFault::default(),
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
        let mut instance = Vec::new();
        // Ordered by name, so that every request asks the stores in one order.
        let mut shared: BTreeMap<&str, Vec<Rule>> = BTreeMap::new();
        for name in self.names() {
            let budget = parts.budgets.get(name).ok_or_else(|| fault(format!("there is no budget `{name}`")))?;
            let key = Key::parse(&budget.key).map_err(|problems| {
                fault(problems.into_iter().map(|problem| problem.what).collect::<Vec<_>>().join("; "))
            })?;
            let key = Arc::new(key);
            let rules = |rates: &[Rate]| rates.iter().map(|rate| Rule::new(name, *rate, &key)).collect::<Vec<_>>();
            instance.extend(rules(&budget.instance));
            if !budget.shared.is_empty() {
                let store = store_name(budget, parts).ok_or_else(|| fault(format!("`{name}` has no store")))?;
                shared.entry(store).or_default().extend(rules(&budget.shared));
            }
        }
        let mut counters = Vec::new();
        if !instance.is_empty() {
            counters.push(Counter { store: Arc::clone(&parts.instance_budgets), rules: instance });
        }
        for (store, rules) in shared {
            let store: &Arc<dyn BudgetStore> =
                parts.budget_stores.get(store).ok_or_else(|| fault(format!("there is no store `{store}`")))?;
            counters.push(Counter { store: Arc::clone(store), rules });
        }
        Ok(Box::new(Budget { counters, on_fault: self.on_fault() }))
    }
}

fn fault(what: String) -> BuildFault {
    BuildFault { filter: Config::NAME, what }
}

fn store_name<'a>(budget: &'a BudgetConfig, parts: &'a Parts) -> Option<&'a str> {
    let only = || parts.budget_stores.keys().next().filter(|_| parts.budget_stores.len() == 1);
    budget.store.as_ref().or_else(only).map(String::as_str)
}

struct Budget {
    /// In the order in which they are asked: the instance's own first.
    counters: Vec<Counter>,
    on_fault: OnFault,
}

impl Filter for Budget {
    fn name(&self) -> &'static str {
        Config::NAME
    }

    fn on_fault(&self) -> OnFault {
        self.on_fault
    }

    fn check<'f, 'x: 'f>(&'f self, exchange: &'f mut Exchange<'x>) -> Check<'f> {
        let mut tab = Tab::new(self.on_fault);
        let mut counters = self.counters.iter();
        // No future, and no allocation for one, while the stores answer at once.
        while let Some(counter) = counters.next() {
            let charges = counter.charges(exchange);
            match counter.store.spend(&charges) {
                Step::Ready(answer) => {
                    if let Err(halt) = tab.enter(counter, charges, answer, exchange.facts) {
                        return Step::Ready(Err(halt));
                    }
                }
                Step::Later(answer) => {
                    return Step::later(async move {
                        tab.enter(counter, charges, answer.await, exchange.facts)?;
                        for counter in counters {
                            let charges = counter.charges(exchange);
                            let answer = counter.store.spend(&charges).get().await;
                            tab.enter(counter, charges, answer, exchange.facts)?;
                        }
                        tab.settle(exchange.facts);
                        Ok(())
                    });
                }
            }
        }
        tab.settle(exchange.facts);
        Step::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests;
