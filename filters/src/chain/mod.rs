//! A chain: filters in their order, run over one request.

use crate::api::{BodyNeed, BuildFault, Exchange, Facts, Filter, Halt, OnFault, Parts, Refusal};
use crate::order::{asks_stores, freshness_window};
use crate::{claims::Claims, freshness, table::FilterConfig};
use http::HeaderMap;
use std::{sync::Arc, time::Duration};

mod watch;

use watch::Watched;
pub use watch::{Verdict, Watch};

/// Filters in their order.
///
/// A chain runs in two parts. The first is everything ahead of the first filter that looks into the body;
/// it runs before a byte of the body is read, so that a flood is refused cheaply. The second is the rest.
pub struct Chain {
    filters: Vec<Box<dyn Filter>>,
    head_count: usize,
    body_need: Option<BodyNeed>,
}

/// Why a chain stopped a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// A filter refused it, or could not decide.
    Refused(Refusal),
    /// A filter answered it. The answer has no body.
    Answered(http::StatusCode),
}

impl Chain {
    /// A chain of these filters.
    #[must_use]
    pub fn new(filters: Vec<Box<dyn Filter>>) -> Self {
        let needs = || filters.iter().filter_map(|filter| filter.body_need());
        let body_need = needs().map(|need| need.bytes_max).min().map(|bytes_max| BodyNeed { bytes_max });
        let head_count = filters.iter().take_while(|filter| filter.body_need().is_none()).count();
        Self { filters, head_count, body_need }
    }

    /// The same, which tells `watch` of each verdict. For requests that are only tried: it allocates at each filter.
    #[must_use]
    pub fn watched(self, watch: &Arc<Watch>) -> Self {
        let filters = self.filters.into_iter().enumerate();
        let filters = filters.map(|(place, filter)| Watched::boxed(filter, place, Arc::clone(watch))).collect();
        Self { filters, ..self }
    }

    /// What must be read of the body between the two parts. Without it the body may be streamed.
    #[must_use]
    pub fn body_need(&self) -> Option<BodyNeed> {
        self.body_need
    }

    /// The filter that takes the least of it.
    #[must_use]
    pub fn body_reader(&self) -> Option<&'static str> {
        let needs = self.filters.iter().filter_map(|filter| Some((filter.body_need()?.bytes_max, filter.name())));
        needs.min_by_key(|(bytes_max, _)| *bytes_max).map(|(_, name)| name)
    }

    /// The filters' names, in order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.filters.iter().map(|filter| filter.name())
    }

    /// Adds to a refusal that is made ahead of the chain what a page needs to read it. Whether a filter lets the page.
    pub fn admit_reader(&self, headers: &HeaderMap, facts: &mut Facts) -> bool {
        self.filters.iter().any(|filter| filter.admit_reader(headers, facts))
    }

    /// Runs the filters that need no body.
    ///
    /// # Errors
    /// The first that stops the request.
    pub async fn run_head(&self, exchange: &mut Exchange<'_>) -> Result<(), Stop> {
        run(self.filters.get(..self.head_count).unwrap_or_default(), exchange).await
    }

    /// Runs the rest. What `replay` reserved is kept when all have passed, and given back when a budget
    /// behind it refuses.
    ///
    /// # Errors
    /// The first that stops the request.
    pub async fn run_rest(&self, exchange: &mut Exchange<'_>) -> Result<(), Stop> {
        run(self.filters.get(self.head_count..).unwrap_or_default(), exchange).await?;
        if let Some(reservation) = exchange.facts.reservation.take() {
            reservation.keep();
        }
        Ok(())
    }
}

async fn run(filters: &[Box<dyn Filter>], exchange: &mut Exchange<'_>) -> Result<(), Stop> {
    for filter in filters {
        let stop = match filter.check(exchange).get().await {
            Ok(()) => continue,
            Err(Halt::Faulted(_)) if filter.on_fault() == OnFault::Pass => {
                exchange.facts.faults_passed.push(filter.name());
                continue;
            }
            Err(Halt::Faulted(refusal) | Halt::Refused(refusal)) => Stop::Refused(refusal),
            Err(Halt::Answered(status)) => Stop::Answered(status),
        };
        // A filter that stands for several says itself which of them it was.
        exchange.facts.stopped_by.get_or_insert(filter.name());
        // Dropped, it gives its id back: what is refused burns none.
        exchange.facts.reservation = None;
        return Err(stop);
    }
    Ok(())
}

/// A chain of these filters in this order. What one takes from another is set here: `replay` keeps ids as long
/// as `freshness` takes commands, and with the budgets next to it asks its store once.
///
/// # Errors
/// Where a name that a filter uses is not among the parts. What is wrong with the order is said by
/// [`crate::order::problems`], which must have been asked before.
pub fn build_chain(filters: &[&FilterConfig], parts: &Parts) -> Result<Chain, BuildFault> {
    let window = freshness_window(filters).unwrap_or_else(|| freshness::Config::default().window());
    let mut built: Vec<Box<dyn Filter>> = Vec::new();
    for run in runs(filters) {
        match run {
            [filter] if !asks_stores(filter) => built.push(filter.build(parts)?),
            run => built.push(Box::new(claims(run, window, parts)?)),
        }
    }
    Ok(Chain::new(built))
}

/// The filters as they are built: each item is one filter of the chain, `replay` and the budgets next to it together.
pub fn runs<'a, 'c>(filters: &'a [&'c FilterConfig]) -> impl Iterator<Item = &'a [&'c FilterConfig]> {
    filters.chunk_by(|one, next| asks_stores(one) && asks_stores(next))
}

/// The one filter that a run of `replay` and budgets becomes.
fn claims(run: &[&FilterConfig], window: Duration, parts: &Parts) -> Result<Claims, BuildFault> {
    let mut replay = None;
    let mut budgets = Vec::new();
    for filter in run {
        match filter {
            FilterConfig::replay(config) => replay = Some(config.rule(window)),
            FilterConfig::budget(config) => budgets.extend_from_slice(config.names()),
            _ => {}
        }
    }
    Claims::new(replay, &budgets, parts)
}

#[cfg(test)]
mod tests;
