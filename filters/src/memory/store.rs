//! A whole store in this process.

use super::{MemoryBudgets, MemoryReplay};
use crate::api::{Charge, Claim, Claimed, Clock, Receipt, ReplayClaim, ReplayKey, Step, Store, StoreFault};
use std::sync::Arc;

/// A store in this process: counted by no other instance, and lost when the process ends.
pub struct MemoryStore {
    replay: MemoryReplay,
    budgets: MemoryBudgets,
}

impl MemoryStore {
    /// A store for so many replay ids and so many budget keys.
    #[must_use]
    pub fn new(clock: &Arc<dyn Clock>, ids_max: usize, keys_max: usize) -> Self {
        Self {
            replay: MemoryReplay::new(Arc::clone(clock), ids_max),
            budgets: MemoryBudgets::new(Arc::clone(clock), keys_max),
        }
    }

    /// The id first, for a replay is told ahead of an exhausted budget, and given back where a budget refuses.
    fn claim_now(&self, claim: &Claim) -> Result<Claimed, StoreFault> {
        if let Some(replay) = &claim.replay
            && !self.replay.reserve(replay)?
        {
            return Ok(Claimed::Replayed);
        }
        Ok(match self.budgets.spend(&claim.charges) {
            Ok(grant) => Claimed::Granted(grant),
            Err(exhausted) => {
                if let Some(replay) = &claim.replay {
                    self.replay.release(&replay.key);
                }
                Claimed::Exhausted(exhausted)
            }
        })
    }
}

impl Store for MemoryStore {
    fn claim(&self, claim: &Claim) -> Step<'_, Result<Claimed, StoreFault>> {
        Step::Ready(self.claim_now(claim))
    }

    fn is_replayed(&self, replay: &ReplayClaim) -> Step<'_, Result<bool, StoreFault>> {
        Step::Ready(Ok(self.replay.is_replayed(replay)))
    }

    fn release(&self, key: &ReplayKey) {
        self.replay.release(key);
    }

    fn refund(&self, charges: &[Charge], receipt: Receipt) {
        self.budgets.refund(charges, receipt);
    }

    fn is_remote(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes::{FakeClock, NOW_MS};
    use std::time::Duration;

    fn claim(request_id: &str, cost: u64) -> Claim {
        let key = ReplayKey { device_session_id: "s".to_owned(), request_id: request_id.to_owned() };
        let replay = ReplayClaim { key, timestamp_ms: NOW_MS, keep: Duration::from_secs(95) };
        let charge = Charge {
            rule: "r".into(),
            key: "r|caller".to_owned(),
            limit: 3,
            window: Duration::from_secs(60),
            cost,
            is_observed: false,
        };
        Claim { replay: Some(replay), charges: vec![charge] }
    }

    #[test]
    fn a_claim_is_granted_whole_or_not_at_all() {
        let clock: Arc<dyn Clock> = Arc::<FakeClock>::default();
        let store = MemoryStore::new(&clock, 10, 10);
        for (request_id, cost, expected) in [
            ("a", 2, "granted"),
            ("a", 1, "replayed"),
            ("b", 2, "exhausted"),
            ("a", 2, "replayed"),
            ("b", 1, "granted"),
            ("c", 1, "exhausted"),
        ] {
            let claimed = match store.claim_now(&claim(request_id, cost)).unwrap() {
                Claimed::Granted(_) => "granted",
                Claimed::Replayed => "replayed",
                Claimed::Exhausted(_) => "exhausted",
            };
            assert_eq!(claimed, expected, "{request_id}");
        }
    }
}
