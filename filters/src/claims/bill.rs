//! What one request spends, over this instance and several stores: all or nothing.

use crate::{
    api::{Charge, Exchange, Exhausted, Facts, Grant, RateState, Reason, Receipt, Refusal, Store},
    budget::{Budget, Mode, OnStoreError, Rule, Rules},
    memory::MemoryBudgets,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// What one request has spent so far.
pub(super) struct Bill<'f> {
    budgets: &'f [Arc<Budget>],
    /// Their rules, from its first moment to its last.
    rules: Vec<Arc<Rules>>,
    instance: &'f MemoryBudgets,
    now: Duration,
    spent: Vec<Spent>,
    /// Whose each charge is of those asked last, by the budget's place.
    owners: Vec<usize>,
    /// Of all rules asked, the one with the least left.
    tightest: Option<RateState>,
    /// The places of observed budgets that would have refused.
    over: Vec<usize>,
}

/// What can be given back.
struct Spent {
    /// The instance itself, where there is no store.
    store: Option<Arc<dyn Store>>,
    charges: Vec<Charge>,
    receipt: Receipt,
}

impl<'f> Bill<'f> {
    pub(super) fn new(budgets: &'f [Arc<Budget>], instance: &'f MemoryBudgets, now: Duration) -> Self {
        let rules = budgets.iter().map(|budget| budget.rules()).collect();
        Self { budgets, rules, instance, now, spent: Vec::new(), owners: Vec::new(), tightest: None, over: Vec::new() }
    }

    /// Spends from the rules that the instance counts for itself.
    pub(super) fn own(&mut self, exchange: &mut Exchange<'_>) -> Result<(), Refusal> {
        let charges = self.charges(0..self.budgets.len(), |rules| &rules.instance, exchange);
        if charges.is_empty() {
            return Ok(());
        }
        match self.instance.spend(&charges) {
            Ok(grant) => {
                self.enter(None, charges, &grant);
                Ok(())
            }
            Err(exhausted) => Err(self.exhausted(exhausted, exchange.facts)),
        }
    }

    /// The charges of these budgets' shared rules, without those of callers for whom the store is not asked.
    pub(super) fn shared(&mut self, budgets: &[usize], exchange: &Exchange<'_>) -> Vec<Charge> {
        let mut asked = budgets.to_vec();
        asked.retain(|place| !self.is_below(*place, exchange));
        self.charges(asked, |rules| &rules.shared, exchange)
    }

    /// Takes up what was granted, by a store or by the instance.
    pub(super) fn enter(&mut self, store: Option<&Arc<dyn Store>>, charges: Vec<Charge>, grant: &Grant) {
        for (index, (charge, rate)) in charges.iter().zip(&grant.rates).enumerate() {
            if !charge.is_observed {
                self.tightest = Some(self.tightest.filter(|known| known.remaining <= rate.remaining).unwrap_or(*rate));
            } else if grant.over.contains(&index) {
                self.over.extend(self.owners.get(index));
            }
        }
        if store.is_some_and(|store| store.is_remote()) {
            self.remember(&charges);
        }
        let mut charges = charges;
        let mut index = 0..;
        charges.retain(|_| index.next().is_none_or(|index| !grant.over.contains(&index)));
        self.spent.push(Spent { store: store.cloned(), charges, receipt: grant.receipt });
    }

    /// The refusal, with everything given back.
    pub(super) fn exhausted(&mut self, exhausted: Exhausted, facts: &mut Facts) -> Refusal {
        self.count(exhausted.charge, |budget| &budget.counts.refused);
        self.give_back();
        // The rule that refuses speaks, also where an earlier budget has just been used up.
        facts.rate = Some(exhausted.rate);
        Refusal::new(Reason::BudgetExhausted).retry_after(exhausted.retry_after_seconds.max(1))
    }

    /// Decides without the store that was to count these charges.
    pub(super) fn do_without(&mut self, charges: &[Charge], instances: u64, facts: &mut Facts) -> Result<(), Refusal> {
        let mut shares = Vec::new();
        let mut owners = Vec::new();
        for (charge, owner) in charges.iter().zip(std::mem::take(&mut self.owners)) {
            let Some(budget) = self.budgets.get(owner).filter(|_| !charge.is_observed) else { continue };
            budget.counts.without_store.fetch_add(1, Relaxed);
            match budget.on_store_error() {
                OnStoreError::Allow => {}
                OnStoreError::Deny => {
                    self.give_back();
                    return Err(Refusal::new(Reason::BudgetStoreUnavailable));
                }
                OnStoreError::LocalShare => {
                    shares.push(share(charge, (charge.limit / instances.max(1)).max(1)));
                    owners.push(owner);
                }
            }
        }
        facts.faults_passed.push(super::BUDGET);
        self.owners = owners;
        if shares.is_empty() {
            return Ok(());
        }
        match self.instance.spend(&shares) {
            Ok(grant) => {
                self.enter(None, shares, &grant);
                Ok(())
            }
            Err(exhausted) => Err(self.exhausted(exhausted, facts)),
        }
    }

    /// The request passes: what is left goes into the answer.
    pub(super) fn pass(mut self, facts: &mut Facts) {
        self.over.sort_unstable();
        self.over.dedup();
        for budget in self.over.iter().filter_map(|place| self.budgets.get(*place)) {
            budget.counts.observed.fetch_add(1, Relaxed);
        }
        if let Some(rate) = self.tightest {
            facts.note_rate(rate);
        }
    }

    pub(super) fn give_back(&mut self) {
        for Spent { store, charges, receipt } in self.spent.drain(..) {
            match store {
                Some(store) => store.refund(&charges, receipt),
                None => self.instance.refund(&charges, receipt),
            }
        }
    }

    /// Whether the caller is so far below its limits that the store is not asked.
    fn is_below(&self, place: usize, exchange: &Exchange<'_>) -> bool {
        let (Some(budget), Some(rules)) = (self.budgets.get(place), self.rules.get(place)) else { return false };
        let Some(rule) = &rules.ask_above else { return false };
        self.instance.spend(&[budget.charge(rule, Mode::Enforce, exchange)]).is_ok()
    }

    fn charges(
        &mut self,
        places: impl IntoIterator<Item = usize>,
        of: impl Fn(&Rules) -> &Vec<Rule>,
        exchange: &Exchange<'_>,
    ) -> Vec<Charge> {
        self.owners.clear();
        let mut charges = Vec::new();
        for place in places {
            let (Some(budget), Some(rules)) = (self.budgets.get(place), self.rules.get(place)) else { continue };
            for rule in of(rules) {
                let charge = budget.charge(rule, rules.mode, exchange);
                rule.note(&charge.key, charge.cost, self.now);
                charges.push(charge);
                self.owners.push(place);
            }
        }
        charges
    }

    /// Counts what the store has granted for this instance too, so that its share is known should the store fail.
    fn remember(&self, charges: &[Charge]) {
        let is_shared = |owner: &usize| {
            self.budgets.get(*owner).is_some_and(|budget| budget.on_store_error() == OnStoreError::LocalShare)
        };
        let with_owners = charges.iter().zip(&self.owners);
        let shares: Vec<Charge> = with_owners
            .filter(|(charge, owner)| !charge.is_observed && is_shared(owner))
            .map(|(charge, _)| share(charge, u64::MAX))
            .collect();
        if !shares.is_empty() {
            // Without a limit nothing is over it.
            drop(self.instance.spend(&shares));
        }
    }

    fn count(&self, charge: usize, of: impl Fn(&Budget) -> &AtomicU64) {
        if let Some(budget) = self.owners.get(charge).and_then(|owner| self.budgets.get(*owner)) {
            of(budget).fetch_add(1, Relaxed);
        }
    }
}

/// What the instance counts of a charge while its store is away.
fn share(charge: &Charge, limit: u64) -> Charge {
    Charge { limit, ..charge.clone() }
}
