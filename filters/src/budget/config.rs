//! What callers may spend, as an operator writes it.

use super::key::{Key, Needs};
use crate::api::{ConfigProblem, Named, Reference, units::Rate};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What callers may spend. Every rule of every budget that a chain names must allow a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetConfig {
    /// Who spends together: `client.ip` (an IPv4 address, or an IPv6 /64; `client.ip/56` for another prefix), `session.id`, `session.user_id`,
    /// `message.type`, `route`, `header.<name>`, `body.<field>` (`body.<field>.<field>` for what lies deeper).
    /// A header or a field may be followed by `|trim` (white space around it does not count) and `|lower`
    /// (case does not, and neither does the way in which accents are written). Requests without one of the
    /// parts all spend together.
    pub key: Vec<String>,
    /// Rules that each instance counts for itself.
    #[serde(default)]
    pub instance: Vec<Rate>,
    /// Rules that every instance on the same store counts together.
    #[serde(default)]
    pub shared: Vec<Rate>,
    /// The store of the shared rules; may be left out where there is only one.
    #[serde(default)]
    pub store: Option<String>,
    /// Whether the rules refuse, or only watch.
    #[serde(default)]
    pub mode: Mode,
    /// What holds while the store is out of reach.
    #[serde(default)]
    pub on_store_error: OnStoreError,
    /// The rate of a caller, on one instance, up to which the store is not asked. It saves the round trip for
    /// all who are far from their limit; what passes so is not counted in the store, so that each instance may
    /// grant as much more.
    #[serde(default)]
    pub ask_above: Option<Rate>,
}

/// Whether rules refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// They do. The default.
    #[default]
    Enforce,
    /// They count what they would have refused, and refuse nothing. The admin listener's `/budgets` says the
    /// limit that would have refused one caller in a thousand.
    Observe,
}

/// What holds while the store of a budget's shared rules is out of reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnStoreError {
    /// Requests pass, as far as the instance's own rules allow.
    Allow,
    /// Requests are refused with `BUDGET_STORE_UNAVAILABLE`.
    Deny,
    /// Each instance holds callers to its part: the limit divided by the instances that were alive, and at
    /// least 1. What the instance has granted before is counted. The default.
    #[default]
    LocalShare,
}

impl BudgetConfig {
    /// The names that it uses.
    #[must_use]
    pub fn references(&self) -> Vec<Reference> {
        let store = self.store.iter();
        store.map(|name| Reference { kind: Named::Store, name: name.clone(), pointer: "/store".to_owned() }).collect()
    }

    /// What must stand ahead of it in a chain. Nothing, where the key is not readable.
    #[must_use]
    pub fn needs(&self) -> Needs {
        Key::parse(&self.key).map(|key| key.needs()).unwrap_or_default()
    }

    /// What is wrong within it, by JSON pointers from the budget.
    #[must_use]
    pub fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = Key::parse(&self.key).err().unwrap_or_default();
        let mut problem = |pointer: String, what: &str, remedy: &str| {
            problems.push(ConfigProblem { pointer, what: what.to_owned(), remedy: remedy.to_owned() });
        };
        if self.instance.is_empty() && self.shared.is_empty() {
            let remedy = "add rules such as `instance: [\"20/1s\"]` or `shared: [\"600/1m\"]`";
            problem(String::new(), "the budget has no rule", remedy);
        }
        if self.shared.is_empty() && self.store.is_some() {
            problem(
                "/store".to_owned(),
                "no rule is counted in the store",
                "add `shared` rules, or leave the store out",
            );
        }
        if self.shared.is_empty() && self.ask_above.is_some() {
            problem(
                "/ask_above".to_owned(),
                "no rule is counted in the store, so it is never asked",
                "add `shared` rules, or leave it out",
            );
        }
        for (list, rates) in [("instance", &self.instance), ("shared", &self.shared)] {
            for (index, rate) in rates.iter().enumerate() {
                if rates.iter().take(index).any(|earlier| earlier == rate) {
                    problem(format!("/{list}/{index}"), "the rule is there twice", "leave one of them out");
                }
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_point_to_their_place() {
        for (yaml, pointers) in [
            ("{ key: [client.ip], instance: ['1/1s'] }", &[][..]),
            ("{ key: [session.id, message.type], instance: ['1/1s'], shared: ['1/1s'], store: main }", &[]),
            ("{ key: [client.ip] }", &[""]),
            ("{ key: [], instance: ['1/1s'] }", &["/key"]),
            ("{ key: [route, client.ipp], shared: ['1/1s'] }", &["/key/1"]),
            ("{ key: [route], instance: ['1/1s'], store: main }", &["/store"]),
            ("{ key: [route], instance: ['1/1s'], ask_above: 1/1s }", &["/ask_above"]),
            ("{ key: [route], shared: ['9/1s'], ask_above: 1/1s, mode: observe, on_store_error: deny }", &[]),
            (
                "{ key: [route], instance: ['1/1s', '60/1m', '1/1000ms'], shared: ['2/2s', '2/2s'] }",
                &["/instance/2", "/shared/1"],
            ),
        ] {
            let budget: BudgetConfig = serde_yaml::from_str(yaml).unwrap();
            let problems = budget.problems();
            assert_eq!(problems.iter().map(|p| p.pointer.as_str()).collect::<Vec<_>>(), pointers, "{yaml}");
        }
    }
}
