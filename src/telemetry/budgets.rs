//! Budgets as metrics.

use filters::budget::Budget;
use prometheus::{
    IntCounterVec, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use std::sync::{Arc, atomic::Ordering::Relaxed};

/// The budgets of the plan in force.
pub type InForce = Box<dyn Fn() -> Vec<Arc<Budget>> + Send + Sync>;

/// Reads the budgets' own counts when they are gathered, so that a decision costs nothing more.
pub(super) struct Budgets {
    in_force: InForce,
    decisions: IntCounterVec,
}

impl Budgets {
    pub(super) fn new(in_force: InForce) -> Result<Self, prometheus::Error> {
        let options = Opts::new(
            "portcullis_budget_decisions_total",
            "Requests that a budget refused, would have refused while it only watched, or decided without its store.",
        );
        Ok(Self { in_force, decisions: IntCounterVec::new(options, &["budget", "outcome"])? })
    }
}

impl Collector for Budgets {
    fn desc(&self) -> Vec<&Desc> {
        self.decisions.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // A budget of a new plan counts from zero, which is what a scraper takes for a restart.
        self.decisions.reset();
        for budget in (self.in_force)() {
            for (outcome, count) in [
                ("refused", &budget.counts.refused),
                ("observed", &budget.counts.observed),
                ("without_store", &budget.counts.without_store),
            ] {
                self.decisions.with_label_values(&[budget.name(), outcome]).inc_by(count.load(Relaxed));
            }
        }
        self.decisions.collect()
    }
}
