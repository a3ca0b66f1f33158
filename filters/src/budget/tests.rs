use super::*;
use crate::fakes::{FakeStore, Says, add_budget, parts};
use std::sync::atomic::Ordering::Relaxed;

#[test]
fn each_form_names_its_budgets_where_they_are() {
    for (json, names) in [(r#""own""#, &[("own", "")][..]), (r#"["own","both"]"#, &[("own", "/0"), ("both", "/1")])] {
        let config: Config = serde_json::from_str(json).unwrap();
        let references = config.references();
        let got: Vec<_> = references.iter().map(|r| (r.name.as_str(), r.pointer.as_str())).collect();
        assert_eq!(got, names);
        assert!(config.problems().is_empty());
        assert_eq!(serde_json::to_string(&config).unwrap(), json, "it is shown as it was written");
    }
    assert_eq!(serde_yaml::from_str::<Config>("[]").unwrap().problems().len(), 1);
    let fault = serde_yaml::from_str::<Config>("{ of: [a] }").unwrap_err().to_string();
    assert!(fault.contains("expected the name of a budget, or a list of names"), "{fault}");
}

#[test]
fn what_is_missing_is_named() {
    let mut parts = parts();
    for store in ["main", "other"] {
        parts.stores.insert(store.to_owned(), FakeStore::new(Says::Granted(1), false));
    }
    add_budget(&mut parts, "undecided", "{ key: [route], shared: ['9/1h'] }");
    add_budget(&mut parts, "lost", "{ key: [route], shared: ['9/1h'], store: none }");
    for (yaml, what) in [
        ("none", "there is no budget `none`"),
        ("undecided", "`undecided` has no store"),
        ("lost", "there is no store `none`"),
    ] {
        assert_eq!(serde_yaml::from_str::<Config>(yaml).unwrap().build(&parts).err().unwrap().what, what);
    }
}

fn changed(since_ms: i64) -> Changed {
    Changed { by: "somebody".to_owned(), since_ms, until_ms: None }
}

#[test]
fn a_change_ends_once_and_only_by_its_own_number() {
    let budget = add_budget(&mut parts(), "b", "{ key: [route], instance: ['1/1s'] }");
    let rate = || budget.rules().instance[0].rate().to_string();
    let change = |json: &str, at| budget.change(&serde_json::from_str(json).unwrap(), changed(at)).unwrap();
    let first = change(r#"{"instance":["5/1s"]}"#, 1).unwrap();
    let second = change(r#"{"instance":["6/1s"]}"#, 2).unwrap();
    assert_eq!((budget.end_change(first), rate()), (None, "6/1s".to_owned()), "it gave way to another");
    assert_eq!(budget.changed().map(|changed| changed.since_ms), Some(2));
    assert_eq!(budget.end_change(second).map(|changed| changed.since_ms), Some(2));
    assert_eq!((budget.end_change(second), budget.changed(), rate()), (None, None, "1/1s".to_owned()));
    change(r#"{"instance":["5/1s"]}"#, 3).unwrap();
    assert_eq!((change(r#"{"instance":["1/1s"]}"#, 4), budget.changed()), (None, None), "it is as it is written");
}

#[test]
fn a_change_keeps_what_it_does_not_name_and_refuses_what_is_no_budget() {
    let budget =
        add_budget(&mut parts(), "b", "{ key: [route], instance: ['1/1s'], shared: ['9/1h'], ask_above: 2/1s }");
    let shown = |budget: &Budget| {
        let rules = budget.rules();
        let list = |rules: &[Rule]| rules.iter().map(|rule| rule.rate().to_string()).collect::<Vec<_>>().join(" ");
        format!("{:?} {} {}", rules.mode, list(&rules.instance), list(&rules.shared))
    };
    let own = add_budget(&mut parts(), "own", "{ key: [route], instance: ['1/1s'] }");
    for (budget, json, outcome) in [
        (&budget, r#"{"mode":"observe"}"#, "Observe 1/1s 9/1h"),
        (&budget, r#"{"shared":["5/1m","50/1h"]}"#, "Observe 1/1s 5/1m 50/1h"),
        (&budget, r#"{"mode":"enforce","instance":[]}"#, "Enforce  5/1m 50/1h"),
        (&budget, r#"{"shared":[]}"#, "the budget would have no rule"),
        (&budget, r#"{"mode":"observe","for":"0s"}"#, "`for` must be more than nothing"),
        (&budget, r#"{"shared":["5/1m","5/60s"]}"#, "the rule 5/1m is there twice"),
        (
            &own,
            r#"{"shared":["5/1m"]}"#,
            "the budget has no shared rules, so it has no store: add shared rules in the configuration",
        ),
    ] {
        let outcome_now = budget.change(&serde_json::from_str(json).unwrap(), changed(0));
        assert_eq!(outcome_now.map_or_else(|problem| problem.to_string(), |_| shown(budget)), outcome);
    }
    assert_eq!(shown(&budget), "Enforce  5/1m 50/1h", "a change that is refused changes nothing");
    assert!(budget.rules().ask_above.is_some());
    assert_eq!(budget.counts.refused.load(Relaxed), 0);
}
