use super::*;
use crate::table::ChainEntry;

const BUDGETS: &str = "
by_ip: { key: [client.ip], instance: ['1/1s'] }
by_email: { key: [body.email], instance: ['1/1s'] }
by_user: { key: [session.user_id], instance: ['1/1s'] }
by_type: { key: [message.type], instance: ['1/1s'] }
";

fn filters(chain: &str) -> Vec<FilterConfig> {
    let entries: Vec<ChainEntry> = serde_yaml::from_str(chain).unwrap();
    let filters = entries.into_iter().map(|entry| match entry {
        ChainEntry::Name(name) => FilterConfig::bare(&name).unwrap().clone(),
        ChainEntry::Filter(filter) => *filter,
    });
    filters.collect()
}

/// The problems of a chain, as `index pointer: what`.
fn found(chain: &str) -> Vec<String> {
    let filters = filters(chain);
    let budgets = serde_yaml::from_str(BUDGETS).unwrap();
    let problems = problems(&filters.iter().collect::<Vec<_>>(), &budgets);
    problems.iter().map(|found| format!("{} {}: {}", found.index, found.problem.pointer, found.problem.what)).collect()
}

fn check(chain: &str, expected: &[&str]) {
    let found = found(chain);
    assert_eq!(found.len(), expected.len(), "{chain}: {found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{chain}: {found}");
    }
}

#[test]
fn the_contracts_order_stands() {
    check(
        "[request_id, { budget: by_ip }, envelope, { session: d }, payload_hash, signature, freshness, \
         { replay: { store: m } }, { budget: [by_user, by_type] }]",
        &[],
    );
    check("[request_id, { body: { max: 1KiB, json: true } }, { budget: [by_ip, by_email] }]", &[]);
    check("[]", &[]);
}

#[test]
fn what_a_filter_relies_on_must_be_ahead_of_it() {
    for (chain, expected) in [
        ("[{ session: d }]", &["0 : `session` relies on `envelope`, which is missing"][..]),
        ("[{ session: d }, envelope]", &["0 : `session` relies on `envelope`, which stands behind it"]),
        (
            "[envelope, signature, { session: d }, payload_hash]",
            &[
                "1 : `signature` relies on `session`, which stands behind it, and on `payload_hash`, which stands behind it",
            ],
        ),
        (
            "[envelope, { session: d }, payload_hash, freshness, signature]",
            &["3 : `freshness` relies on `signature`, which stands behind it"],
        ),
        (
            "[envelope, signature, payload_hash]",
            &[
                "1 : `signature` relies on `session`, which is missing, and on `payload_hash`, which stands behind it",
                "2 : `payload_hash` relies on `session`, which is missing",
            ],
        ),
        (
            "[envelope, { session: d }, payload_hash, signature, { replay: { store: m } }]",
            &["4 : `replay` relies on `freshness`, which is missing"],
        ),
    ] {
        check(chain, expected);
    }
}

#[test]
fn some_filters_stand_once() {
    check("[envelope, envelope]", &["1 : `envelope` is in the chain twice"]);
    check("[request_id, request_id]", &["1 : `request_id` is in the chain twice"]);
    check("[{ headers: {} }, { headers: {} }, { ip: {} }, { ip: {} }]", &[]);
}

#[test]
fn ids_are_kept_as_long_as_commands_are_fresh() {
    for (keep, expected) in [("90s", &[][..]), ("89999ms", &["5 /keep: a command stays fresh for 90s, but"])] {
        check(
            &format!(
                "[envelope, {{ session: d }}, payload_hash, signature, freshness, \
                 {{ replay: {{ store: m, keep: {keep} }} }}]"
            ),
            expected,
        );
    }
}

#[test]
fn budgets_have_something_to_read() {
    check("[{ budget: by_email }]", &["0 : the key of `by_email` has a field of the body"]);
    check("[{ body: { max: 1KiB } }, { budget: [by_ip, by_email] }]", &["1 /1: the key of `by_email`"]);
    check("[{ budget: [by_user] }]", &["0 /0: the key of `by_user` has the session"]);
    check("[{ budget: by_type }, envelope]", &["0 : the key of `by_type` has the message type"]);
    check("[{ budget: unknown }]", &[]);
}

#[test]
fn a_budget_is_asked_once() {
    check("[{ budget: [by_ip, by_ip] }]", &["0 /1: the budget `by_ip` is asked twice"]);
    check("[{ budget: by_ip }, { budget: [by_ip] }]", &["1 /0: the budget `by_ip` is asked twice"]);
}

#[test]
fn a_store_that_is_asked_twice_is_said() {
    let budgets = serde_yaml::from_str(
        "{ own: { key: [route], instance: ['1/1s'] }, a: { key: [route], shared: ['1/1s'] }, \
           b: { key: [client.ip], shared: ['1/1s'], store: main }, c: { key: [route], shared: ['1/1s'], store: other } }",
    )
    .unwrap();
    for (chain, only_store, expected) in [
        ("[{ replay: { store: main } }, { budget: [a, b] }, { budget: own }]", Some("main"), &[][..]),
        ("[{ budget: own }, envelope, { replay: { store: main } }, { budget: [a] }]", Some("main"), &[]),
        ("[{ budget: b }, envelope, { replay: { store: main } }, { budget: [a] }]", Some("main"), &[2]),
        ("[{ budget: b }, envelope, { budget: c }, request_id, { budget: a }]", None, &[]),
        ("[{ replay: { store: main } }, request_id, { budget: b }, envelope, { budget: a }]", Some("main"), &[2, 4]),
    ] {
        let filters = filters(chain);
        let costs = costs(&filters.iter().collect::<Vec<_>>(), &budgets, only_store);
        assert_eq!(costs.iter().map(|cost| cost.index).collect::<Vec<_>>(), expected, "{chain}");
    }
}
