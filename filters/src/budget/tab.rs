//! What one request spends, over several stores: all or nothing.

use super::key::Key;
use crate::api::{
    BudgetStore, Charge, Exchange, Facts, Halt, OnFault, Outcome, RateState, Reason, Receipt, Refusal, Spent,
    StoreFault, units::Rate,
};
use std::sync::Arc;

/// One rule of one budget.
pub(super) struct Rule {
    /// The budget's name, its length ahead, and the rate. So no two rules are counted as one, and a rate that
    /// is changed begins anew.
    name: Arc<str>,
    rate: Rate,
    key: Arc<Key>,
}

impl Rule {
    pub(super) fn new(budget: &str, rate: Rate, key: &Arc<Key>) -> Self {
        Self { name: format!("{}:{budget} {rate}", budget.len()).into(), rate, key: Arc::clone(key) }
    }
}

/// The rules that one store counts.
pub(super) struct Counter {
    pub(super) store: Arc<dyn BudgetStore>,
    pub(super) rules: Vec<Rule>,
}

impl Counter {
    pub(super) fn charges(&self, exchange: &Exchange<'_>) -> Vec<Charge> {
        let charge = |rule: &Rule| Charge {
            rule: Arc::clone(&rule.name),
            key: rule.key.of(&rule.name, exchange),
            limit: rule.rate.limit(),
            window: rule.rate.window(),
            cost: 1,
            is_observed: false,
        };
        self.rules.iter().map(charge).collect()
    }
}

/// What was spent so far for one request.
pub(super) struct Tab<'f> {
    spent: Vec<(&'f Counter, Vec<Charge>, Receipt)>,
    /// Of all rules asked, the one with the least left.
    tightest: Option<RateState>,
    on_fault: OnFault,
}

impl<'f> Tab<'f> {
    pub(super) fn new(on_fault: OnFault) -> Self {
        Self { spent: Vec::new(), tightest: None, on_fault }
    }

    /// Takes up a store's answer. Where it refuses, what other stores have counted is given back.
    pub(super) fn enter(
        &mut self,
        counter: &'f Counter,
        charges: Vec<Charge>,
        answer: Result<Spent, StoreFault>,
        facts: &mut Facts,
    ) -> Outcome {
        match answer {
            Ok(Spent::All { rates, receipt }) => {
                let tightest = self.tightest.into_iter().chain(rates).min_by_key(|rate| rate.remaining);
                self.tightest = tightest;
                self.spent.push((counter, charges, receipt));
                Ok(())
            }
            Ok(Spent::Refused { rate, retry_after_seconds }) => {
                self.give_back();
                // The rule that refuses speaks, also where an earlier budget has just been used up.
                facts.rate = Some(rate);
                Err(Refusal::new(Reason::BudgetExhausted).retry_after(retry_after_seconds.max(1)).into())
            }
            Err(StoreFault(_)) => {
                if self.on_fault == OnFault::Refuse {
                    self.give_back();
                }
                Err(Halt::Faulted(Refusal::new(Reason::BudgetStoreUnavailable)))
            }
        }
    }

    /// The request passes: what is left goes into the answer.
    pub(super) fn settle(self, facts: &mut Facts) {
        if let Some(rate) = self.tightest {
            facts.note_rate(rate);
        }
    }

    fn give_back(&mut self) {
        for (counter, charges, receipt) in self.spent.drain(..) {
            counter.store.refund(&charges, receipt);
        }
    }
}
