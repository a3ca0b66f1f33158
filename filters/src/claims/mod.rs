//! What `replay` and the budgets next to it ask of their stores: together, once.
//!
//! A chain makes one such filter of every run of `replay` and `budget` that nothing stands between. It asks
//! this instance's own rules first, and each store once. All must grant: where one refuses, what others have
//! granted is given back. A replay is told ahead of an exhausted budget.

mod bill;

use crate::{
    api::{
        BuildFault, Check, Claim, Claimed, CommandState, Exchange, Facts, Filter, Halt, Outcome, Parts, Reason,
        Refusal, ReplayClaim, ReplayKey, Reservation, Step, Store, StoreFault,
    },
    budget::Budget,
    memory::MemoryBudgets,
};
use bill::Bill;
use std::{sync::Arc, time::Duration};

const REPLAY: &str = "replay";
const BUDGET: &str = "budget";

/// What a `replay` filter asks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReplayRule<'a> {
    /// The store's name.
    pub(crate) store: &'a str,
    /// How long ids are kept.
    pub(crate) keep: Duration,
}

/// A `replay` filter, budgets, or both.
pub(crate) struct Claims {
    budgets: Vec<Arc<Budget>>,
    /// In the order in which they are asked: the one of `replay` first.
    asks: Vec<Ask>,
    instance: Arc<MemoryBudgets>,
    clock: Arc<dyn crate::api::Clock>,
}

/// What is asked of one store.
struct Ask {
    store: Arc<dyn Store>,
    keep: Option<Duration>,
    /// The places of the budgets whose shared rules it counts.
    budgets: Vec<usize>,
}

impl Claims {
    /// `replay`, if any, with these budgets.
    ///
    /// # Errors
    /// Where a store or a budget is not among the parts.
    pub(crate) fn new(replay: Option<ReplayRule<'_>>, names: &[String], parts: &Parts) -> Result<Self, BuildFault> {
        let mut claims = Self {
            budgets: Vec::new(),
            asks: Vec::new(),
            instance: Arc::clone(&parts.instance),
            clock: Arc::clone(&parts.clock),
        };
        let mut asked: Vec<&str> = Vec::new();
        if let Some(rule) = replay {
            let store = parts.stores.get(rule.store).ok_or_else(|| BuildFault {
                filter: REPLAY,
                what: format!("there is no store `{}` for replay ids", rule.store),
            })?;
            asked.push(rule.store);
            claims.asks.push(Ask { store: Arc::clone(store), keep: Some(rule.keep), budgets: Vec::new() });
        }
        for name in names {
            let budget = parts.budgets.get(name).ok_or_else(|| fault(format!("there is no budget `{name}`")))?;
            let index = claims.budgets.len();
            claims.budgets.push(Arc::clone(budget));
            if !budget.has_shared_rules() {
                continue;
            }
            let store = store_of(budget, parts).ok_or_else(|| fault(format!("`{name}` has no store")))?;
            match asked.iter().position(|name| *name == store).and_then(|place| claims.asks.get_mut(place)) {
                Some(ask) => ask.budgets.push(index),
                None => {
                    let found = parts.stores.get(store).ok_or_else(|| fault(format!("there is no store `{store}`")))?;
                    asked.push(store);
                    claims.asks.push(Ask { store: Arc::clone(found), keep: None, budgets: vec![index] });
                }
            }
        }
        Ok(claims)
    }

    fn replay(&self, keep: Option<Duration>, facts: &Facts) -> Result<Option<ReplayClaim>, Halt> {
        let Some(keep) = keep else { return Ok(None) };
        let CommandState::Decoded(command) = &facts.command else { return Err(Halt::misplaced(REPLAY)) };
        let key =
            ReplayKey { device_session_id: command.device_session_id.clone(), request_id: command.request_id.clone() };
        Ok(Some(ReplayClaim { key, timestamp_ms: command.timestamp_ms, keep }))
    }

    /// The instance's own rules refuse. That a replay is one is told all the same, which costs a store's
    /// answer only for those whose signature held.
    fn refuse_here<'f, 'x: 'f>(&'f self, refusal: Refusal, exchange: &'f mut Exchange<'x>) -> Check<'f> {
        let ask = self.asks.first();
        let Some((ask, Ok(Some(replay)))) = ask.map(|ask| (ask, self.replay(ask.keep, exchange.facts))) else {
            return Step::Ready(refuse(BUDGET, refusal, exchange.facts));
        };
        let settle = |is_replayed: Result<bool, StoreFault>, facts: &mut Facts| match is_replayed {
            Ok(true) => refuse(REPLAY, Refusal::new(Reason::RequestReplayed), facts),
            Ok(false) | Err(_) => refuse(BUDGET, refusal, facts),
        };
        match ask.store.is_replayed(&replay) {
            Step::Ready(answer) => Step::Ready(settle(answer, exchange.facts)),
            Step::Later(answer) => Step::later(async move { settle(answer.await, exchange.facts) }),
        }
    }

    /// Asks the stores behind the one that is answering.
    async fn ask_rest(&self, bill: &mut Bill<'_>, asked: usize, exchange: &mut Exchange<'_>) -> Outcome {
        for ask in self.asks.iter().skip(asked) {
            let Some(claim) = self.claim(ask, bill, exchange)? else { continue };
            let answer = ask.store.claim(&claim).get().await;
            self.settle(ask, claim, answer, bill, exchange)?;
        }
        Ok(())
    }

    /// What a store is asked for this request; nothing where every budget of it is below its rate to ask.
    fn claim(&self, ask: &Ask, bill: &mut Bill<'_>, exchange: &Exchange<'_>) -> Result<Option<Claim>, Halt> {
        let replay = self.replay(ask.keep, exchange.facts)?;
        let charges = bill.shared(&ask.budgets, exchange);
        Ok((replay.is_some() || !charges.is_empty()).then_some(Claim { replay, charges }))
    }

    fn settle(
        &self,
        ask: &Ask,
        claim: Claim,
        answer: Result<Claimed, StoreFault>,
        bill: &mut Bill<'_>,
        exchange: &mut Exchange<'_>,
    ) -> Outcome {
        let facts = &mut *exchange.facts;
        match answer {
            Ok(Claimed::Granted(grant)) => {
                if let Some(replay) = claim.replay {
                    facts.reservation = Some(Reservation::new(Arc::clone(&ask.store), replay.key));
                }
                bill.enter(Some(&ask.store), claim.charges, &grant);
                Ok(())
            }
            Ok(Claimed::Replayed) => {
                bill.give_back();
                refuse(REPLAY, Refusal::new(Reason::RequestReplayed), facts)
            }
            Ok(Claimed::Exhausted(exhausted)) => {
                let refusal = bill.exhausted(exhausted, facts);
                refuse(BUDGET, refusal, facts)
            }
            Err(_) if claim.replay.is_some() => {
                bill.give_back();
                facts.stopped_by = Some(REPLAY);
                Err(Halt::Faulted(Refusal::new(Reason::ReplayStoreUnavailable)))
            }
            Err(_) => match bill.do_without(&claim.charges, ask.store.instances(), facts) {
                Ok(()) => Ok(()),
                Err(refusal) => {
                    facts.stopped_by = Some(BUDGET);
                    Err(refusal.into())
                }
            },
        }
    }
}

impl Filter for Claims {
    fn name(&self) -> &'static str {
        let is_replay = self.asks.first().is_some_and(|ask| ask.keep.is_some());
        if is_replay { REPLAY } else { BUDGET }
    }

    fn check<'f, 'x: 'f>(&'f self, exchange: &'f mut Exchange<'x>) -> Check<'f> {
        let mut bill = Bill::new(&self.budgets, &self.instance, self.clock.monotonic());
        if let Err(refusal) = bill.own(exchange) {
            return self.refuse_here(refusal, exchange);
        }
        // No future, and no allocation for one, while the stores answer at once.
        for (index, ask) in self.asks.iter().enumerate() {
            let claim = match self.claim(ask, &mut bill, exchange) {
                Ok(Some(claim)) => claim,
                Ok(None) => continue,
                Err(halt) => return Step::Ready(Err(halt)),
            };
            match ask.store.claim(&claim) {
                Step::Ready(answer) => {
                    if let Err(halt) = self.settle(ask, claim, answer, &mut bill, exchange) {
                        return Step::Ready(Err(halt));
                    }
                }
                Step::Later(answer) => {
                    return Step::later(async move {
                        let answer = answer.await;
                        self.settle(ask, claim, answer, &mut bill, exchange)?;
                        self.ask_rest(&mut bill, index + 1, exchange).await?;
                        bill.pass(exchange.facts);
                        Ok(())
                    });
                }
            }
        }
        bill.pass(exchange.facts);
        Step::Ready(Ok(()))
    }
}

fn refuse(by: &'static str, refusal: Refusal, facts: &mut Facts) -> Outcome {
    facts.stopped_by = Some(by);
    Err(refusal.into())
}

fn fault(what: String) -> BuildFault {
    BuildFault { filter: BUDGET, what }
}

fn store_of<'a>(budget: &'a Budget, parts: &'a Parts) -> Option<&'a str> {
    let only = || parts.stores.keys().next().filter(|_| parts.stores.len() == 1);
    budget.store().or_else(|| only().map(String::as_str))
}

#[cfg(test)]
mod tests;
