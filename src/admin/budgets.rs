//! Budgets as they are now, and changes to them until the configuration is loaded again.

use super::{Page, plain};
use filters::{
    api::{Reason, Refusal, units::Rate},
    budget::{Budget, Change, Mode, OnStoreError, Rule},
};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
};

/// A longer change is refused.
pub(super) const CHANGE_BYTES_MAX: u64 = 64 << 10;

type Budgets = BTreeMap<String, Arc<Budget>>;

/// A budget, as it is shown.
#[derive(Serialize)]
struct Shown {
    mode: Mode,
    on_store_error: OnStoreError,
    instance: Vec<ShownRule>,
    shared: Vec<ShownRule>,
    refused: u64,
    observed: u64,
    without_store: u64,
}

/// A rule, as it is shown.
#[derive(Serialize)]
struct ShownRule {
    rate: Rate,
    /// Where the rule is observed: the limit that would have refused at most one caller in a thousand.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit_for_999_of_1000_callers: Option<u64>,
}

impl From<&Rule> for ShownRule {
    fn from(rule: &Rule) -> Self {
        Self { rate: rule.rate(), limit_for_999_of_1000_callers: rule.limit_for_999() }
    }
}

impl From<&Budget> for Shown {
    fn from(budget: &Budget) -> Self {
        let rules = budget.rules();
        let shown = |rules: &[Rule]| rules.iter().map(ShownRule::from).collect();
        Self {
            mode: rules.mode,
            on_store_error: budget.on_store_error(),
            instance: shown(&rules.instance),
            shared: shown(&rules.shared),
            refused: budget.counts.refused.load(Relaxed),
            observed: budget.counts.observed.load(Relaxed),
            without_store: budget.counts.without_store.load(Relaxed),
        }
    }
}

/// All budgets.
pub(super) fn all(budgets: &Budgets) -> Page {
    plain(&budgets.iter().map(|(name, budget)| (name, Shown::from(budget.as_ref()))).collect::<BTreeMap<_, _>>())
}

/// One budget.
pub(super) fn one(budgets: &Budgets, name: &str) -> Result<Page, Refusal> {
    Ok(plain(&Shown::from(find(budgets, name)?)))
}

/// Changes one budget, and says how it is now.
pub(super) fn change(budgets: &Budgets, name: &str, body: &[u8], by: IpAddr) -> Result<Page, Refusal> {
    let budget = find(budgets, name)?;
    let invalid = |what: String| Refusal::because(Reason::BodyInvalid, what);
    // serde would take a list for the fields in their order.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(invalid("the change is no JSON object".to_owned()));
    }
    let change: Change = serde_json::from_slice(body).map_err(|problem| invalid(problem.to_string()))?;
    budget.change(&change).map_err(|problem| invalid(problem.to_string()))?;
    let written = serde_json::to_string(&change).unwrap_or_default();
    tracing::warn!(budget = name, change = written, %by, "a budget was changed until the next reload");
    one(budgets, name)
}

fn find<'a>(budgets: &'a Budgets, name: &str) -> Result<&'a Budget, Refusal> {
    let unknown = || Refusal::because(Reason::RouteUnknown, "there is no such budget");
    budgets.get(name).map(AsRef::as_ref).ok_or_else(unknown)
}
