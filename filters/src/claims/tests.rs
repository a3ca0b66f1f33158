use super::*;
use crate::{
    api::{Charge, RateState},
    fakes::{FakeClock, FakeStore, Request, Says, add_budget, command, parts, reason},
    memory::MemoryStore,
};
use std::sync::atomic::Ordering::Relaxed;

/// Parts with budgets of each kind. `own` counts on the instance, `both` there and in the store `main`, `other`
/// in the store `other`.
fn parts_with(main: &Arc<FakeStore>, other: &Arc<FakeStore>) -> Parts {
    let mut parts = parts();
    for (name, store) in [("main", main), ("other", other)] {
        parts.stores.insert(name.to_owned(), Arc::<FakeStore>::clone(store));
    }
    for (name, yaml) in [
        ("own", "{ key: [client.ip], instance: ['2/1h'] }"),
        ("both", "{ key: [client.ip], instance: ['2/1h'], shared: ['9/1h', '99/1d'], store: main }"),
        ("other", "{ key: [route], shared: ['9/1h'], store: other }"),
        ("allow", "{ key: [route], shared: ['9/1h'], store: main, on_store_error: allow }"),
        ("deny", "{ key: [route], shared: ['9/1h'], store: main, on_store_error: deny }"),
        ("share", "{ key: [route], shared: ['8/1h'], store: main }"),
        ("tiny", "{ key: [route], shared: ['3/1h'], store: main }"),
        ("watch", "{ key: [route], instance: ['1/1h'], shared: ['1/1d'], store: main, mode: observe }"),
        ("above", "{ key: [route], shared: ['9/1h'], store: main, ask_above: 2/1h }"),
    ] {
        add_budget(&mut parts, name, yaml);
    }
    parts
}

fn filter(replay: bool, names: &[&str], parts: &Parts) -> Claims {
    let replay = replay.then_some(ReplayRule { store: "main", keep: Duration::from_secs(95) });
    Claims::new(replay, &names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), parts).unwrap()
}

/// What became of one command: the reason of its refusal, who refused, and the tightest rule.
async fn ask(filter: &Claims) -> (Option<Reason>, Option<&'static str>, Option<RateState>) {
    let mut request = Request::with_command(CommandState::Decoded(command().into()));
    let outcome = request.check(filter).await;
    if let Some(reservation) = request.facts.reservation.take() {
        reservation.keep();
    }
    (reason(outcome), request.facts.stopped_by, request.facts.rate)
}

fn rate(limit: u64, remaining: u64) -> Option<RateState> {
    Some(RateState { limit, remaining, reset_seconds: 1 })
}

fn charged(store: &FakeStore) -> Vec<(bool, Vec<u64>)> {
    let limits = |charges: &[Charge]| charges.iter().map(|charge| charge.limit).collect();
    store.claims.lock().unwrap().iter().map(|claim| (claim.replay.is_some(), limits(&claim.charges))).collect()
}

#[tokio::test]
async fn each_store_is_asked_once_and_the_tightest_rule_speaks() {
    for is_slow in [false, true] {
        let (main, other) = (FakeStore::new(Says::Granted(3), is_slow), FakeStore::new(Says::Granted(2), is_slow));
        let filter = filter(true, &["both", "share", "other"], &parts_with(&main, &other));
        assert_eq!(ask(&filter).await.2.unwrap().remaining, 1, "the instance's rule has the least left");
        assert_eq!(charged(&main), [(true, vec![9, 99, 8])]);
        assert_eq!(charged(&other), [(false, vec![9])]);
        let keys: Vec<_> = main.claims.lock().unwrap()[0].charges.iter().map(|charge| charge.key.clone()).collect();
        assert_eq!(
            keys,
            ["shared 4:both 9/1h|192.0.2.1", "shared 4:both 99/1d|192.0.2.1", "shared 5:share 8/1h|7=route-1"]
        );
    }
}

#[tokio::test]
async fn the_instance_is_asked_first_but_a_replay_is_told() {
    for is_slow in [false, true] {
        for (says, third) in [
            (Says::Granted(3), (Some(Reason::BudgetExhausted), Some("budget"))),
            (Says::Replayed, (Some(Reason::RequestReplayed), Some("replay"))),
            (Says::Down, (Some(Reason::BudgetExhausted), Some("budget"))),
        ] {
            let main = FakeStore::new(says, is_slow);
            let parts = parts_with(&main, &main);
            let filter = filter(true, &["both"], &parts);
            // Two requests of the same caller use its budget on the instance up.
            for _ in 0..2 {
                Bill::new(&filter.budgets, &parts.instance, Duration::ZERO)
                    .own(&mut Request::get("/").exchange())
                    .unwrap();
            }
            let (reason, by, _) = ask(&filter).await;
            assert_eq!((reason, by), third);
            assert!(charged(&main).is_empty());
        }
    }
}

#[tokio::test]
async fn a_refusal_gives_back_what_others_have_granted() {
    for is_slow in [false, true] {
        let (main, other) = (FakeStore::new(Says::Granted(3), is_slow), FakeStore::new(Says::Exhausted, is_slow));
        let parts = parts_with(&main, &other);
        let filter = filter(false, &["both", "other"], &parts);
        // The instance's rule allows two, so three refusals by the last store show that it was given back.
        for _ in 0..3 {
            assert_eq!(ask(&filter).await, (Some(Reason::BudgetExhausted), Some("budget"), rate(9, 0)));
        }
        assert_eq!(main.refunded.lock().unwrap().len(), 3);
        assert!(other.refunded.lock().unwrap().is_empty());
        assert_eq!(parts.budgets["other"].counts.refused.load(Relaxed), 3);
        assert_eq!(parts.budgets["both"].counts.refused.load(Relaxed), 0);
    }
}

#[tokio::test]
async fn a_replay_spends_nothing() {
    let main = FakeStore::new(Says::Replayed, true);
    let filter = filter(true, &["both"], &parts_with(&main, &main));
    for _ in 0..3 {
        assert_eq!(ask(&filter).await, (Some(Reason::RequestReplayed), Some("replay"), None));
    }
}

#[tokio::test]
async fn each_budget_says_what_holds_without_its_store() {
    for (with_replay, name, passes, then) in [
        (false, "allow", 10, None),
        (false, "deny", 0, Some(Reason::BudgetStoreUnavailable)),
        (false, "share", 2, Some(Reason::BudgetExhausted)),
        (false, "tiny", 1, Some(Reason::BudgetExhausted)),
        (false, "both", 2, Some(Reason::BudgetExhausted)),
        (false, "watch", 10, None),
        (true, "allow", 0, Some(Reason::ReplayStoreUnavailable)),
    ] {
        let down = FakeStore::new(Says::Down, true);
        let parts = parts_with(&down, &down);
        let filter = filter(with_replay, &[name], &parts);
        for _ in 0..passes {
            assert_eq!(ask(&filter).await.0, None, "{name}");
        }
        if let Some(reason) = then {
            assert_eq!(ask(&filter).await.0, Some(reason), "{name}");
        }
        let count = parts.budgets[name].counts.without_store.load(Relaxed);
        assert_eq!(count > 0, !with_replay && name != "watch", "{name}");
    }
}

#[tokio::test]
async fn what_the_store_granted_counts_against_the_share() {
    let (up, down) = (FakeStore::new(Says::Granted(5), false), FakeStore::new(Says::Down, false));
    let mut parts = parts_with(&up, &up);
    let before = filter(false, &["share"], &parts);
    assert_eq!(ask(&before).await.0, None);
    parts.stores.insert("main".to_owned(), down);
    let after = filter(false, &["share"], &parts);
    // A quarter of eight, less the one that was granted.
    assert_eq!(ask(&after).await.0, None);
    assert_eq!(ask(&after).await.0, Some(Reason::BudgetExhausted));
}

#[tokio::test]
async fn an_observed_budget_counts_and_refuses_nothing() {
    let main = FakeStore::new(Says::Granted(5), false);
    let parts = parts_with(&main, &main);
    let filter = filter(false, &["watch"], &parts);
    for _ in 0..4 {
        assert_eq!(ask(&filter).await, (None, None, None), "it does not speak in the answer either");
    }
    let budget = &parts.budgets["watch"];
    assert_eq!(budget.counts.observed.load(Relaxed), 3, "all but the first, on the instance");
    assert_eq!(budget.rules().instance[0].limit_for_999(), Some(4));
    assert!(main.claims.lock().unwrap().iter().all(|claim| claim.charges.iter().all(|charge| charge.is_observed)));
}

#[tokio::test]
async fn the_store_is_asked_above_the_callers_rate_only() {
    let main = FakeStore::new(Says::Granted(5), false);
    let filter = filter(false, &["above"], &parts_with(&main, &main));
    for asked in [0, 0, 1, 2] {
        assert_eq!(ask(&filter).await.0, None);
        assert_eq!(charged(&main).len(), asked);
    }
}

#[tokio::test]
async fn a_route_may_cost_more() {
    let clock: Arc<dyn crate::api::Clock> = Arc::<FakeClock>::default();
    let mut parts = parts();
    parts.stores.insert("main".to_owned(), Arc::new(MemoryStore::new(&clock, 10, 10)));
    add_budget(&mut parts, "b", "{ key: [client.ip], instance: ['10/1h'], shared: ['7/1h'] }");
    let filter = filter(false, &["b"], &parts);
    for (cost, expected) in
        [(3, None), (5, Some(Reason::BudgetExhausted)), (4, None), (1, Some(Reason::BudgetExhausted))]
    {
        let mut request = Request { cost, ..Request::get("/") };
        assert_eq!(reason(request.check(&filter).await), expected, "{cost}");
    }
}
