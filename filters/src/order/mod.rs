//! What must hold between the filters of a chain, whoever wrote it.

use crate::api::ConfigProblem;
use crate::budget::{BudgetConfig, Needs};
use crate::table::FilterConfig;
use std::{collections::BTreeMap, time::Duration};

/// Something wrong between the filters of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainProblem {
    /// The filter's place in the chain.
    pub index: usize,
    /// What is wrong; its pointer goes from the filter's configuration.
    pub problem: ConfigProblem,
}

/// What is wrong with the order of these filters. A budget that is not among `budgets` is left to those who
/// check names.
#[must_use]
pub fn problems(chain: &[&FilterConfig], budgets: &BTreeMap<String, BudgetConfig>) -> Vec<ChainProblem> {
    let mut problems = Vec::new();
    for (index, filter) in chain.iter().enumerate() {
        let (ahead, behind) = chain.split_at_checked(index).unwrap_or_default();
        let mut found = Vec::new();
        found.extend(repeated(filter, ahead));
        found.extend(misplaced(filter, ahead, behind));
        found.extend(forgetful(filter, ahead));
        found.extend(unreadable(filter, ahead, budgets));
        problems.extend(found.into_iter().map(|problem| ChainProblem { index, problem }));
    }
    problems
}

/// What is right but dearer than it needs to be: filters between `replay` and shared budgets, which then ask
/// their store more than once for a request. `only_store` is the store of budgets that name none.
#[must_use]
pub fn costs(
    chain: &[&FilterConfig],
    budgets: &BTreeMap<String, BudgetConfig>,
    only_store: Option<&str>,
) -> Vec<ChainProblem> {
    let mut asked: Vec<&str> = Vec::new();
    let mut costs = Vec::new();
    let mut index = 0;
    for run in chain.chunk_by(|one, next| asks_stores(one) && asks_stores(next)) {
        let stores = run.iter().flat_map(|filter| stores_of(filter, budgets, only_store));
        let mut stores: Vec<&str> = stores.collect();
        stores.sort_unstable();
        stores.dedup();
        for store in stores {
            if asked.contains(&store) {
                let problem = ConfigProblem {
                    pointer: String::new(),
                    what: format!("the store `{store}` is asked once more for every request that comes so far"),
                    remedy: "stand `replay` and the budgets with shared rules next to each other, and they ask once"
                        .to_owned(),
                };
                costs.push(ChainProblem { index, problem });
            } else {
                asked.push(store);
            }
        }
        index += run.len();
    }
    costs
}

/// Whether a filter is one of those that ask their stores together where they stand next to each other.
pub(crate) fn asks_stores(filter: &FilterConfig) -> bool {
    matches!(filter, FilterConfig::replay(_) | FilterConfig::budget(_))
}

fn stores_of<'a>(
    filter: &'a FilterConfig,
    budgets: &'a BTreeMap<String, BudgetConfig>,
    only_store: Option<&'a str>,
) -> Vec<&'a str> {
    match filter {
        FilterConfig::replay(config) => vec![config.store.as_str()],
        FilterConfig::budget(config) => {
            let shared = config.names().iter().filter_map(|name| budgets.get(name));
            let shared = shared.filter(|budget| !budget.shared.is_empty());
            shared.filter_map(|budget| budget.store.as_deref().or(only_store)).collect()
        }
        _ => Vec::new(),
    }
}

/// How long a command can be fresh in this chain.
#[must_use]
pub fn freshness_window(chain: &[&FilterConfig]) -> Option<Duration> {
    chain.iter().find_map(|filter| match filter {
        FilterConfig::freshness(config) => Some(config.window()),
        _ => None,
    })
}

fn repeated(filter: &FilterConfig, ahead: &[&FilterConfig]) -> Option<ConfigProblem> {
    let name = filter.name();
    let is_repeated = filter.is_once() && ahead.iter().any(|other| other.name() == name);
    is_repeated.then(|| ConfigProblem {
        pointer: String::new(),
        what: format!("`{name}` is in the chain twice"),
        remedy: "leave one of them out".to_owned(),
    })
}

/// Filters that it relies on and that are not ahead of it.
fn misplaced(filter: &FilterConfig, ahead: &[&FilterConfig], behind: &[&FilterConfig]) -> Option<ConfigProblem> {
    let is_in = |part: &[&FilterConfig], name: &str| part.iter().any(|other| other.name() == name);
    let lacking = filter.after().iter().filter(|name| !is_in(ahead, name));
    let lacking: Vec<String> = lacking
        .map(|name| format!("`{name}`, which {}", if is_in(behind, name) { "stands behind it" } else { "is missing" }))
        .collect();
    if lacking.is_empty() {
        return None;
    }
    Some(ConfigProblem {
        pointer: String::new(),
        what: format!("`{}` relies on {}", filter.name(), lacking.join(", and on ")),
        remedy: format!("keep the order {}, {}", filter.after().join(", "), filter.name()),
    })
}

/// A replay filter that forgets ids while their commands are still fresh.
fn forgetful(filter: &FilterConfig, ahead: &[&FilterConfig]) -> Option<ConfigProblem> {
    let FilterConfig::replay(config) = filter else { return None };
    let (keep, window) = (config.keep?.get(), freshness_window(ahead)?);
    (keep < window).then(|| ConfigProblem {
        pointer: "/keep".to_owned(),
        what: format!("a command stays fresh for {window:?}, but its id is kept for «{keep:?}»: it could be replayed"),
        remedy: format!("write {}s or more, or leave it out", window.as_millis().div_ceil(1000)),
    })
}

/// Budgets that are asked twice, or whose key has nothing to read at this place.
fn unreadable(
    filter: &FilterConfig,
    ahead: &[&FilterConfig],
    budgets: &BTreeMap<String, BudgetConfig>,
) -> Vec<ConfigProblem> {
    let FilterConfig::budget(config) = filter else { return Vec::new() };
    let asked_ahead = |name: &String| {
        ahead.iter().any(|other| matches!(other, FilterConfig::budget(other) if other.names().contains(name)))
    };
    let mut problems = Vec::new();
    for (index, name) in config.names().iter().enumerate() {
        let mut problem = |what: String, remedy: String| {
            problems.push(ConfigProblem { pointer: config.pointer(index), what, remedy });
        };
        if asked_ahead(name) || config.names().iter().take(index).any(|earlier| earlier == name) {
            problem(
                format!("the budget `{name}` is asked twice, so every request would count double"),
                "leave one of them out".to_owned(),
            );
        }
        let needs = budgets.get(name).map(BudgetConfig::needs).unwrap_or_default();
        for (part, source) in lacking(needs, ahead) {
            problem(
                format!(
                    "the key of `{name}` has {part}, which nothing ahead has read: all callers would share one budget"
                ),
                format!("place it behind {source}"),
            );
        }
    }
    problems
}

fn lacking(needs: Needs, ahead: &[&FilterConfig]) -> impl Iterator<Item = (&'static str, &'static str)> {
    let is_ahead = |is: fn(&FilterConfig) -> bool| ahead.iter().any(|other| is(other));
    let sources = [
        (
            needs.body,
            is_ahead(|other| matches!(other, FilterConfig::body(body) if body.json)),
            "a field of the body",
            "`body` with `json: true`",
        ),
        (needs.session, is_ahead(|other| matches!(other, FilterConfig::session(_))), "the session", "`session`"),
        (
            needs.envelope,
            is_ahead(|other| matches!(other, FilterConfig::envelope(_))),
            "the message type",
            "`envelope`",
        ),
    ];
    sources
        .into_iter()
        .filter(|(is_needed, is_there, ..)| *is_needed && !is_there)
        .map(|(_, _, part, source)| (part, source))
}

#[cfg(test)]
mod tests;
