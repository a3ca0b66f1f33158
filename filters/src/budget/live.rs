//! A budget at work: the same for every chain that names it, and changeable while it works.

use super::{
    change::{Change, ChangeProblem, Changed},
    config::{BudgetConfig, Mode, OnStoreError},
    key::Key,
    peaks::Peaks,
};
use crate::api::{BuildFault, Charge, Exchange, units::Rate};
use arc_swap::ArcSwap;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
    time::Duration,
};

/// A budget at work.
pub struct Budget {
    name: String,
    key: Key,
    config: BudgetConfig,
    rules: ArcSwap<Rules>,
    change: Mutex<InForce>,
    /// What became of requests.
    pub counts: Arc<Counts>,
}

/// The change in force, and how many there were before it.
#[derive(Default)]
struct InForce {
    number: u64,
    changed: Option<Arc<Changed>>,
}

/// What became of requests, since the start.
#[derive(Debug, Default)]
pub struct Counts {
    /// Refused.
    pub refused: AtomicU64,
    /// Let through, where `mode: enforce` would have refused.
    pub observed: AtomicU64,
    /// Decided without the store, which was out of reach.
    pub without_store: AtomicU64,
}

/// The rules of a budget, all of which must allow a request.
#[derive(Debug)]
pub struct Rules {
    /// Whether they refuse.
    pub mode: Mode,
    /// Those that each instance counts for itself.
    pub instance: Vec<Rule>,
    /// Those that every instance on the same store counts together.
    pub shared: Vec<Rule>,
    /// The rate of a caller up to which the store is not asked.
    pub ask_above: Option<Rule>,
}

/// One rule of one budget.
#[derive(Debug)]
pub struct Rule {
    /// The budget's name, its length ahead, and the rate. So no two rules are counted as one, and a rate that
    /// is changed begins anew.
    name: Arc<str>,
    rate: Rate,
    peaks: Option<Peaks>,
}

impl Rule {
    fn new(budget: &str, prefix: &str, rate: Rate, mode: Mode) -> Self {
        let name = format!("{prefix}{}:{budget} {rate}", budget.len()).into();
        Self { name, rate, peaks: (mode == Mode::Observe).then(Peaks::default) }
    }

    /// As it was written.
    #[must_use]
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// The limit that would have refused at most one caller in a thousand, of those seen while it was observed.
    #[must_use]
    pub fn limit_for_999(&self) -> Option<u64> {
        self.peaks.as_ref()?.limit_for_999()
    }

    /// Notes a request of the caller `key`, where the rule is observed.
    pub(crate) fn note(&self, key: &str, cost: u64, now: Duration) {
        if let Some(peaks) = &self.peaks {
            peaks.note(key, cost, now, self.rate.window());
        }
    }
}

impl Rules {
    fn written(name: &str, config: &BudgetConfig) -> Self {
        Self::new(name, config.mode, &config.instance, &config.shared, config.ask_above)
    }

    fn new(name: &str, mode: Mode, instance: &[Rate], shared: &[Rate], ask_above: Option<Rate>) -> Self {
        let rules = |kind: &str, rates: &[Rate]| rates.iter().map(|rate| Rule::new(name, kind, *rate, mode)).collect();
        Self {
            mode,
            instance: rules("", instance),
            // Named apart, since an instance counts its share of them beside its own rules.
            shared: rules("shared ", shared),
            ask_above: ask_above.map(|rate| Rule::new(name, "above ", rate, Mode::Enforce)),
        }
    }
}

impl Budget {
    /// The budget `name`, as it is written, which goes on with these counts.
    ///
    /// # Errors
    /// Where its key cannot be read.
    pub fn new(name: &str, config: &BudgetConfig, counts: Arc<Counts>) -> Result<Self, BuildFault> {
        let key = Key::parse(&config.key).map_err(|problems| BuildFault {
            filter: "budget",
            what: problems.into_iter().map(|problem| problem.what).collect::<Vec<_>>().join("; "),
        })?;
        let rules = ArcSwap::from_pointee(Rules::written(name, config));
        Ok(Self { name: name.to_owned(), key, config: config.clone(), rules, change: Mutex::default(), counts })
    }

    /// Whether it is the one that is written so.
    #[must_use]
    pub fn is_of(&self, config: &BudgetConfig) -> bool {
        self.config == *config
    }

    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the configuration gives it shared rules, and with them a store.
    #[must_use]
    pub fn has_shared_rules(&self) -> bool {
        !self.config.shared.is_empty()
    }

    /// The store of its shared rules, where it names one.
    #[must_use]
    pub fn store(&self) -> Option<&str> {
        self.config.store.as_deref()
    }

    /// What holds while the store is out of reach.
    #[must_use]
    pub fn on_store_error(&self) -> OnStoreError {
        self.config.on_store_error
    }

    /// Its rules as they are now.
    #[must_use]
    pub fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// The change in force, where there is one.
    #[must_use]
    pub fn changed(&self) -> Option<Arc<Changed>> {
        self.in_force().changed.clone()
    }

    /// Changes rules until [`Self::end_change`], which takes the number that this gives; none where the budget is as
    /// it is written after that. What is not named stays, and what callers have spent under a rule that stays is kept.
    ///
    /// # Errors
    /// Where the outcome would be no budget; then nothing is changed.
    pub fn change(&self, change: &Change, changed: Changed) -> Result<Option<u64>, ChangeProblem> {
        let mut in_force = self.in_force();
        let now = self.rules();
        let rates = |rules: &[Rule]| rules.iter().map(Rule::rate).collect::<Vec<_>>();
        let instance = change.instance.clone().unwrap_or_else(|| rates(&now.instance));
        let shared = change.shared.clone().unwrap_or_else(|| rates(&now.shared));
        change.check(&instance, &shared, self.has_shared_rules())?;
        let mode = change.mode.unwrap_or(now.mode);
        let ask_above = now.ask_above.as_ref().map(Rule::rate);
        self.rules.store(Arc::new(Rules::new(&self.name, mode, &instance, &shared, ask_above)));
        let written = (self.config.mode, &self.config.instance, &self.config.shared);
        in_force.number += 1;
        in_force.changed = ((mode, &instance, &shared) != written).then(|| Arc::new(changed));
        Ok(in_force.changed.is_some().then_some(in_force.number))
    }

    /// Ends the change of this number, so that the budget is as it is written. Gives the change; none where it was
    /// over, or gave way to another.
    pub fn end_change(&self, number: u64) -> Option<Arc<Changed>> {
        let mut in_force = self.in_force();
        if in_force.number != number {
            return None;
        }
        let ended = in_force.changed.take()?;
        self.rules.store(Arc::new(Rules::written(&self.name, &self.config)));
        Some(ended)
    }

    fn in_force(&self) -> MutexGuard<'_, InForce> {
        self.change.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a request is charged under `rule`.
    pub(crate) fn charge(&self, rule: &Rule, mode: Mode, exchange: &Exchange<'_>) -> Charge {
        Charge {
            rule: Arc::clone(&rule.name),
            key: self.key.of(&rule.name, exchange),
            limit: rule.rate.limit(),
            window: rule.rate.window(),
            cost: exchange.head.cost.max(1),
            is_observed: mode == Mode::Observe,
        }
    }
}
