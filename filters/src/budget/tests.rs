use super::*;
use crate::{
    api::{Charge, Halt, Outcome, RateState, Reason, Receipt, Refusal, Spent, StoreFault},
    fakes::{Request, parts, reason},
};
use std::{sync::Mutex, time::Duration};

/// A shared store with one answer, which takes a moment.
struct FakeBudgets {
    answer: Result<Spent, StoreFault>,
    is_slow: bool,
    charged: Mutex<Vec<Vec<Charge>>>,
    refunded: Mutex<Vec<Receipt>>,
}

impl FakeBudgets {
    fn new(answer: Result<Spent, StoreFault>, is_slow: bool) -> Arc<Self> {
        Arc::new(Self { answer, is_slow, charged: Mutex::default(), refunded: Mutex::default() })
    }
}

impl BudgetStore for FakeBudgets {
    fn spend(&self, charges: &[Charge]) -> Step<'_, Result<Spent, StoreFault>> {
        self.charged.lock().unwrap().push(charges.to_vec());
        if !self.is_slow {
            return Step::Ready(self.answer.clone());
        }
        Step::later(async {
            tokio::task::yield_now().await;
            self.answer.clone()
        })
    }

    fn refund(&self, _: &[Charge], receipt: Receipt) {
        self.refunded.lock().unwrap().push(receipt);
    }
}

const fn rate(limit: u64, remaining: u64) -> RateState {
    RateState { limit, remaining, reset_seconds: 1 }
}

fn all(remaining: u64) -> Result<Spent, StoreFault> {
    Ok(Spent::All { rates: vec![rate(9, remaining)], receipt: Receipt(Duration::from_secs(7)) })
}

fn refused() -> Result<Spent, StoreFault> {
    Ok(Spent::Refused { rate: rate(9, 0), retry_after_seconds: 42 })
}

/// Parts with a budget `own` of two requests an hour on the instance, one `both` of the same and a shared rule
/// in the store `main`, and one `other` with a shared rule in the store `other`.
fn parts_with(main: &Arc<FakeBudgets>, other: &Arc<FakeBudgets>) -> Parts {
    let mut parts = parts();
    for (name, store) in [("main", main), ("other", other)] {
        parts.budget_stores.insert(name.to_owned(), Arc::<FakeBudgets>::clone(store));
    }
    for (name, yaml) in [
        ("own", "{ key: [client.ip], instance: ['2/1h'] }"),
        ("both", "{ key: [client.ip], instance: ['2/1h'], shared: ['9/1h', '99/1d'], store: main }"),
        ("other", "{ key: [route], shared: ['9/1h'], store: other }"),
        ("undecided", "{ key: [route], shared: ['9/1h'] }"),
    ] {
        parts.budgets.insert(name.to_owned(), serde_yaml::from_str(yaml).unwrap());
    }
    parts
}

fn filter(yaml: &str, parts: &Parts) -> Box<dyn Filter> {
    serde_yaml::from_str::<Config>(yaml).unwrap().build(parts).unwrap()
}

async fn check(filter: &dyn Filter) -> (Outcome, Option<RateState>) {
    let mut request = Request::get("/");
    let outcome = request.check(filter).await;
    (outcome, request.facts.rate)
}

#[tokio::test]
async fn the_instance_holds_its_own_rules() {
    let (main, other) = (FakeBudgets::new(all(3), false), FakeBudgets::new(all(3), false));
    let filter = filter("own", &parts_with(&main, &other));
    for remaining in [1, 0] {
        let (outcome, rate) = check(&*filter).await;
        assert_eq!((outcome, rate.unwrap().remaining), (Ok(()), remaining));
    }
    let (outcome, rate) = check(&*filter).await;
    let Err(Halt::Refused(refusal)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(refusal, Refusal::new(Reason::BudgetExhausted).retry_after(3600));
    assert_eq!(rate, Some(RateState { limit: 2, remaining: 0, reset_seconds: 3600 }));
    assert!(main.charged.lock().unwrap().is_empty());
}

#[tokio::test]
async fn all_stores_are_asked_and_the_tightest_rule_speaks() {
    for is_slow in [false, true] {
        let (main, other) = (FakeBudgets::new(all(3), is_slow), FakeBudgets::new(all(0), is_slow));
        let filter = filter("[both, other]", &parts_with(&main, &other));
        assert_eq!(check(&*filter).await, (Ok(()), Some(rate(9, 0))));
        let charged = main.charged.lock().unwrap();
        let keys: Vec<_> = charged[0].iter().map(|charge| (&*charge.rule, charge.key.as_str(), charge.limit)).collect();
        assert_eq!(keys, [("4:both 9/1h", "4:both 9/1h|192.0.2.1", 9), ("4:both 99/1d", "4:both 99/1d|192.0.2.1", 99)]);
        assert_eq!(other.charged.lock().unwrap()[0][0].key, "5:other 9/1h|7=route-1");
    }
}

#[tokio::test]
async fn a_refusal_gives_back_what_other_stores_have_counted() {
    for is_slow in [false, true] {
        let (main, other) = (FakeBudgets::new(all(3), is_slow), FakeBudgets::new(refused(), is_slow));
        let filter = filter("[both, other]", &parts_with(&main, &other));
        // The instance's rule allows two, so three refusals by the last store show that it was given back.
        for _ in 0..3 {
            let (outcome, state) = check(&*filter).await;
            assert_eq!(outcome, Err(Refusal::new(Reason::BudgetExhausted).retry_after(42).into()));
            assert_eq!(state, Some(rate(9, 0)));
        }
        assert_eq!(*main.refunded.lock().unwrap(), [Receipt(Duration::from_secs(7)); 3]);
        assert!(other.refunded.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_full_instance_spares_the_shared_store() {
    let (main, other) = (FakeBudgets::new(all(3), true), FakeBudgets::new(all(3), true));
    let filter = filter("both", &parts_with(&main, &other));
    for outcome in [None, None, Some(Reason::BudgetExhausted)] {
        assert_eq!(reason(check(&*filter).await.0), outcome);
    }
    assert_eq!(main.charged.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_fault_is_told_and_the_instance_still_holds_where_it_passes() {
    for (yaml, on_fault, reasons) in [
        ("both", OnFault::Refuse, [Reason::BudgetStoreUnavailable; 3]),
        (
            "{ of: [both], on_fault: pass }",
            OnFault::Pass,
            [Reason::BudgetStoreUnavailable, Reason::BudgetStoreUnavailable, Reason::BudgetExhausted],
        ),
    ] {
        let down = FakeBudgets::new(Err(StoreFault("down".to_owned())), true);
        let filter = filter(yaml, &parts_with(&down, &FakeBudgets::new(all(3), false)));
        assert_eq!(filter.on_fault(), on_fault);
        for expected in reasons {
            let (outcome, _) = check(&*filter).await;
            assert_eq!(matches!(outcome, Err(Halt::Faulted(_))), expected == Reason::BudgetStoreUnavailable);
            assert_eq!(reason(outcome), Some(expected), "{yaml}");
        }
    }
}

#[test]
fn each_form_names_its_budgets_where_they_are() {
    for (json, names) in [
        (r#""own""#, &[("own", "")][..]),
        (r#"["own","both"]"#, &[("own", "/0"), ("both", "/1")]),
        (r#"{"of":["own","both"],"on_fault":"pass"}"#, &[("own", "/of/0"), ("both", "/of/1")]),
    ] {
        let config: Config = serde_json::from_str(json).unwrap();
        let references = config.references();
        let got: Vec<_> = references.iter().map(|r| (r.name.as_str(), r.pointer.as_str())).collect();
        assert_eq!(got, names);
        assert!(config.problems().is_empty());
        assert_eq!(serde_json::to_string(&config).unwrap(), json, "it is shown as it was written");
    }
    assert_eq!(serde_yaml::from_str::<Config>("[]").unwrap().problems().len(), 1);
    let fault = serde_yaml::from_str::<Config>("{ of: [a], on_falt: pass }").unwrap_err().to_string();
    assert!(fault.contains("unknown field `on_falt`"), "{fault}");
}

#[test]
fn what_is_missing_is_named() {
    let store = FakeBudgets::new(all(1), false);
    let parts = parts_with(&store, &store);
    for (yaml, what) in [("none", "there is no budget `none`"), ("undecided", "`undecided` has no store")] {
        assert_eq!(serde_yaml::from_str::<Config>(yaml).unwrap().build(&parts).err().unwrap().what, what);
    }
}
