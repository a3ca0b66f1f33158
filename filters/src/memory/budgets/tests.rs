use super::*;
use crate::{fakes::FakeClock, memory::SystemClock};
use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
};

fn charge(rule: &str, caller: &str, limit: u64, window_ms: u64) -> Charge {
    Charge { rule: rule.into(), key: format!("{rule}|{caller}"), limit, window: Duration::from_millis(window_ms), cost: 1, is_observed: false }
}

fn store(keys_max: usize) -> (MemoryBudgets, Arc<FakeClock>) {
    let clock = Arc::<FakeClock>::default();
    (MemoryBudgets::new(Arc::<FakeClock>::clone(&clock), keys_max), clock)
}

fn spends(store: &MemoryBudgets, charges: &[Charge]) -> bool {
    matches!(store.spend_now(charges), Spent::All { .. })
}

#[test]
fn a_refusal_spends_nothing_and_names_the_slowest_rule() {
    let (store, clock) = store(100);
    let (tight, slow, wide) = (charge("a", "x", 1, 1000), charge("b", "x", 1, 60_000), charge("c", "x", 5, 1000));
    assert!(spends(&store, &[tight.clone(), slow.clone()]));
    clock.set(Duration::from_millis(500));
    for _ in 0..10 {
        let refused = store.spend_now(&[wide.clone(), tight.clone(), slow.clone()]);
        let rate = RateState { limit: 1, remaining: 0, reset_seconds: 60 };
        assert_eq!(refused, Spent::Refused { rate, retry_after_seconds: 60 });
    }
    let Spent::All { rates, .. } = store.spend_now(&[wide]) else { panic!("refusals have spent") };
    assert_eq!(rates, [RateState { limit: 5, remaining: 4, reset_seconds: 1 }]);
    assert!(!spends(&store, std::slice::from_ref(&tight)));
    clock.set(Duration::from_millis(1000));
    assert!(spends(&store, &[tight]));
}

#[test]
fn callers_and_rules_are_counted_apart() {
    let (store, _) = store(100);
    for (rule, caller) in [("a", "x"), ("a", "y"), ("b", "x")] {
        assert!(spends(&store, &[charge(rule, caller, 1, 1000)]));
        assert!(!spends(&store, &[charge(rule, caller, 1, 1000)]));
    }
}

#[test]
fn a_refund_gives_back_what_was_spent() {
    let (store, clock) = store(100);
    let charges = [charge("a", "x", 1, 1000), charge("b", "x", 1, 1000)];
    let Spent::All { receipt, .. } = store.spend_now(&charges) else { panic!("refused") };
    assert!(!spends(&store, &charges));
    store.refund(&charges, receipt);
    assert!(spends(&store, &charges));
    clock.set(Duration::from_secs(5));
    store.refund(&charges, receipt);
    assert!(spends(&store, &charges));
    assert!(!spends(&store, &charges), "a late refund must give nothing");
}

#[test]
fn new_callers_share_one_window_while_the_store_is_full() {
    let (store, clock) = store(2);
    let spend = |caller: &str| spends(&store, &[charge("a", caller, 2, 1000)]);
    assert!(spend("x") && spend("y"));
    assert!(spend("z1") && spend("z2"), "the shared window has the rule's own limit");
    assert!(!spend("z3"));
    assert!(spend("x") && !spend("x"), "callers with a place keep it");
    assert!(spends(&store, &[charge("b", "z3", 2, 1000)]), "each rule has its own shared window");
    clock.set(Duration::from_millis(1000));
    for caller in ["z3", "z4"] {
        assert!(spend(caller) && spend(caller) && !spend(caller), "what is over makes room");
    }
}

#[test]
fn two_rules_of_a_new_caller_share_where_only_one_has_room() {
    let (store, _) = store(1);
    let both = |caller| [charge("a", caller, 1, 1000), charge("b", caller, 1, 1000)];
    assert!(spends(&store, &both("x")));
    assert!(!spends(&store, &both("y")), "`b` is shared with x");
    assert!(spends(&store, &both("y")[..1]), "a refused request has spent nothing of the shared `a`");
}

#[test]
fn keys_that_are_over_are_let_go() {
    let (store, clock) = store(10_000);
    for round in 0..20 {
        clock.set(Duration::from_secs(round));
        for caller in 0..500 {
            assert!(spends(&store, &[charge("a", &format!("{round}-{caller}"), 1, 1000)]));
        }
    }
    let keys: usize = store.shards.iter().map(|shard| lock(shard).windows.len()).sum();
    assert!(keys <= 1_500, "{keys} keys are kept of 500 live ones");
}

#[test]
fn nobody_shares_while_what_is_over_makes_room() {
    for keys_max in 1..5 {
        let (store, clock) = store(keys_max);
        for round in 0..20 {
            clock.set(Duration::from_secs(round));
            for caller in 0..keys_max {
                assert!(spends(&store, &[charge("a", &format!("{round}-{caller}"), 1, 1000)]));
            }
        }
        let shared = lock(store.shards.last().unwrap());
        assert!(shared.windows.is_empty(), "keys_max {keys_max}");
    }
}

/// Exactly the limit of each budget passes, whatever order threads come in.
#[test]
fn parallel_callers_never_spend_more_than_the_limit() {
    for keys_max in [100, 100_000, 0] {
        let store = MemoryBudgets::new(Arc::new(SystemClock::new()), keys_max);
        let own = AtomicU64::new(0);
        thread::scope(|scope| {
            for thread in 0..8 {
                let (store, own) = (&store, &own);
                scope.spawn(move || {
                    let mut charges =
                        vec![charge("common", "all", 300, 3_600_000), charge("half", "all", 200, 3_600_000)];
                    if thread % 2 == 0 {
                        charges.remove(1);
                    } else {
                        charges.reverse();
                    }
                    for _ in 0..200 {
                        if spends(store, &charges) {
                            own.fetch_add(1, Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(own.load(Relaxed), 300, "keys_max {keys_max}");
    }
}
