//! Budgets as they are now, and changes to them while they work.

use super::{Page, plain};
use crate::telemetry::timestamp::Timestamp;
use filters::{
    api::{
        Reason, Refusal,
        units::{Duration, Rate},
    },
    budget::{Budget, Change, Changed, Mode, OnStoreError, Rule},
};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
    time,
};
use tokio::time::sleep;

/// A longer change is refused.
pub(super) const CHANGE_BYTES_MAX: u64 = 64 << 10;

/// Where the path of one is.
pub(super) const FOLDER: &str = "/budgets/";

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
    /// The change in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<ShownChange>,
}

/// A change, as it is shown.
#[derive(Serialize)]
struct ShownChange {
    by: String,
    since: Timestamp,
    /// Without it the change lasts until the budget's configuration is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

impl From<&Changed> for ShownChange {
    fn from(Changed { by, since_ms, until_ms }: &Changed) -> Self {
        Self { by: by.clone(), since: Timestamp(*since_ms), until: until_ms.map(Timestamp) }
    }
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
            changed: budget.changed().as_deref().map(ShownChange::from),
        }
    }
}

/// All budgets.
pub(super) fn all(budgets: &Budgets) -> Page {
    plain(&budgets.iter().map(|(name, budget)| (name, Shown::from(budget.as_ref()))).collect::<BTreeMap<_, _>>())
}

/// One budget.
pub(super) fn one(budgets: &Budgets, name: &str) -> Result<Page, Refusal> {
    Ok(plain(&Shown::from(find(budgets, name)?.as_ref())))
}

/// What whoever looks at this instance should know: budgets that are not as they are written.
pub(super) fn notes(budgets: &Budgets) -> Vec<String> {
    let note = |(name, budget): (&String, &Arc<Budget>)| {
        let changed = budget.changed()?;
        let ShownChange { by, since, until } = ShownChange::from(changed.as_ref());
        let until = until.map_or_else(|| "its configuration is another".to_owned(), |until| until.to_string());
        Some(format!("budget `{name}` was changed by {by} at {since}, until {until}"))
    };
    budgets.iter().filter_map(note).collect()
}

/// Changes one budget, and says how it is now. Where the change has an end, somebody waits for it.
pub(super) fn change(budgets: &Budgets, name: &str, body: &[u8], by: IpAddr, now_ms: i64) -> Result<Page, Refusal> {
    let budget = find(budgets, name)?;
    let invalid = |what: String| Refusal::because(Reason::BodyInvalid, what);
    // serde would take a list for the fields in their order.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(invalid("the change is no JSON object".to_owned()));
    }
    let change: Change = serde_json::from_slice(body).map_err(|problem| invalid(problem.to_string()))?;
    let lasts = change.lasts.map(Duration::get);
    let until_ms = lasts.map(|lasts| now_ms.saturating_add(i64::try_from(lasts.as_millis()).unwrap_or(i64::MAX)));
    let changed = Changed { by: by.to_string(), since_ms: now_ms, until_ms };
    let number = budget.change(&change, changed).map_err(|problem| invalid(problem.to_string()))?;
    let written = serde_json::to_string(&change).unwrap_or_default();
    let until = until_ms.map_or_else(|| "its configuration is another".to_owned(), |ms| Timestamp(ms).to_string());
    match number {
        Some(number) => {
            tracing::warn!(budget = name, change = written, %by, until, "a budget was changed");
            if let Some(lasts) = lasts {
                tokio::spawn(end_after(lasts, Arc::clone(budget), number));
            }
        }
        None => tracing::warn!(budget = name, change = written, %by, "a budget is as it is written again"),
    }
    one(budgets, name)
}

async fn end_after(lasts: time::Duration, budget: Arc<Budget>, number: u64) {
    sleep(lasts).await;
    if let Some(changed) = budget.end_change(number) {
        let (by, since) = (&changed.by, Timestamp(changed.since_ms));
        tracing::warn!(budget = budget.name(), by, %since, "a budget is as it is written again: its change is over");
    }
}

fn find<'a>(budgets: &'a Budgets, name: &str) -> Result<&'a Arc<Budget>, Refusal> {
    let unknown = || Refusal::because(Reason::RouteUnknown, "there is no such budget");
    budgets.get(name).ok_or_else(unknown)
}
