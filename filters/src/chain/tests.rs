use super::*;
use crate::{
    api::{Check, CommandState, Facts, Reason, ReplayKey, Reservation, SessionStatus, Step},
    fakes::{FakeStore, Request, Says, add_budget, command, directory, parts, session},
    table::ChainEntry,
};
use std::sync::Arc;

/// Reads a chain of filters alone.
fn filters(yaml: &str) -> Vec<FilterConfig> {
    let entries: Vec<ChainEntry> = serde_yaml::from_str(yaml).unwrap();
    let entries = entries.into_iter().map(|entry| match entry {
        ChainEntry::Name(name) => FilterConfig::bare(&name).unwrap().clone(),
        ChainEntry::Filter(filter) => *filter,
    });
    entries.collect()
}

fn chain(yaml: &str, parts: &Parts) -> Chain {
    build_chain(&filters(yaml).iter().collect::<Vec<_>>(), parts).unwrap()
}

async fn run_all(chain: &Chain, request: &mut Request) -> Result<(), Stop> {
    chain.run_head(&mut request.exchange()).await?;
    chain.run_rest(&mut request.exchange()).await
}

fn reason(ran: Result<(), Stop>) -> Option<Reason> {
    match ran {
        Ok(()) => None,
        Err(Stop::Refused(refusal)) => Some(refusal.reason),
        Err(Stop::Answered(status)) => panic!("answered with {status}"),
    }
}

const EDGE: &str = "[request_id, { budget: by_ip }, envelope, { session: devices }, payload_hash, signature, \
                    freshness, { replay: { store: main } }, { budget: by_user }]";

/// Parts for the chain `EDGE`, in which a user may send one command an hour.
fn edge_parts() -> (Parts, Arc<FakeStore>) {
    let (mut parts, store) = (parts(), FakeStore::new(Says::Granted(9), false));
    parts.stores.insert("main".to_owned(), Arc::<FakeStore>::clone(&store));
    let record = Arc::new(session(SessionStatus::Active));
    parts.sessions.insert("devices".to_owned(), directory(Ok(Some(record))));
    for (name, yaml) in [
        ("by_ip", "{ key: [client.ip], instance: ['100/1h'] }"),
        ("by_user", "{ key: [session.user_id], instance: ['1/1h'] }"),
    ] {
        add_budget(&mut parts, name, yaml);
    }
    (parts, store)
}

fn signed() -> Request {
    Request::with_command(CommandState::Decoded(command().into()))
}

#[tokio::test]
async fn a_signed_command_passes_and_keeps_its_id() {
    let (parts, store) = edge_parts();
    let chain = chain(EDGE, &parts);
    let mut request = signed();
    assert_eq!(run_all(&chain, &mut request).await, Ok(()));
    assert_eq!(request.facts.session.as_ref().unwrap().user_id, "user-1");
    assert_eq!(request.facts.rate.unwrap().remaining, 0, "the tightest of all budgets speaks");
    drop(request);
    assert!(store.released.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_stands_together_asks_once_and_says_who_refused() {
    let (mut parts, store) = edge_parts();
    add_budget(&mut parts, "everywhere", "{ key: [session.id], shared: ['5/1h', '9/1d'] }");
    let together = "{ replay: { store: main } }, { budget: by_user }, { budget: [everywhere] }";
    let chain = chain(&EDGE.replace("{ replay: { store: main } }, { budget: by_user }", together), &parts);
    assert_eq!(chain.names().last(), Some("replay"));
    assert_eq!(run_all(&chain, &mut signed()).await, Ok(()));
    let claims = store.claims.lock().unwrap().clone();
    assert_eq!(
        claims.iter().map(|claim| (claim.replay.is_some(), claim.charges.len())).collect::<Vec<_>>(),
        [(true, 2)]
    );
    let mut request = signed();
    assert_eq!(reason(run_all(&chain, &mut request).await), Some(Reason::BudgetExhausted));
    assert_eq!(request.facts.stopped_by, Some("budget"));
    assert_eq!(store.claims.lock().unwrap().len(), 1, "the instance's own rule spares the store");
}

#[tokio::test]
async fn a_filter_behind_that_refuses_gives_the_id_back() {
    let (parts, store) = edge_parts();
    let chain = chain(&EDGE.replace("{ budget: by_user }]", "{ ip: { deny: [192.0.2.0/24] } }]"), &parts);
    assert_eq!(reason(run_all(&chain, &mut signed()).await), Some(Reason::AddressForbidden));
    let key = ReplayKey { device_session_id: "session-1".to_owned(), request_id: "req-1".to_owned() };
    assert_eq!(*store.released.lock().unwrap(), [key]);
}

#[tokio::test]
async fn only_what_needs_no_body_runs_ahead_of_it() {
    let (parts, _) = edge_parts();
    let chain = chain(EDGE, &parts);
    assert_eq!(chain.names().collect::<Vec<_>>()[2], "envelope");
    assert!(chain.body_need().is_some());
    let mut request = Request::get("/");
    assert_eq!(chain.run_head(&mut request.exchange()).await, Ok(()));
    assert!(request.facts.request_id.is_some());
    assert_eq!(reason(chain.run_rest(&mut request.exchange()).await), Some(Reason::Internal));
}

#[tokio::test]
async fn a_chain_takes_the_smallest_limit_of_its_filters() {
    for (yaml, need) in [
        ("[request_id, { body: { max: 1B } }]", None),
        ("[{ body: { max: 3B, json: true } }, { body: { max: 2B, json: true } }]", Some(BodyNeed { bytes_max: 2 })),
    ] {
        let chain = chain(yaml, &parts());
        assert_eq!((chain.body_need(), chain.body_reader()), (need, need.map(|_| "body")));
    }
}

#[test]
fn ids_are_kept_for_the_chains_own_window() {
    for (freshness, replay, seconds) in [
        ("freshness", "{ store: main }", 95),
        ("{ freshness: { past: 5m, future: 1m } }", "{ store: main }", 365),
        ("freshness", "{ store: main, keep: 10m }", 600),
    ] {
        let (parts, store) = edge_parts();
        let chain = chain(&format!("[{freshness}, {{ replay: {replay} }}]"), &parts);
        let mut request = signed();
        futures_util::FutureExt::now_or_never(run_all(&chain, &mut request)).unwrap().unwrap();
        let claims = store.claims.lock().unwrap();
        assert_eq!(claims[0].replay.as_ref().unwrap().keep.as_secs(), seconds);
    }
}

#[test]
fn a_missing_part_is_named() {
    let filters = filters("[request_id, { session: devices }]");
    let fault = build_chain(&filters.iter().collect::<Vec<_>>(), &parts()).err().unwrap();
    assert_eq!(fault.to_string(), "session: there is no session lookup `devices`");
}

/// A filter with one outcome.
struct Fixed(&'static str, Halt, OnFault);

impl Filter for Fixed {
    fn name(&self) -> &'static str {
        self.0
    }

    fn on_fault(&self) -> OnFault {
        self.2
    }

    fn check<'f, 'x: 'f>(&'f self, _: &'f mut Exchange<'x>) -> Check<'f> {
        Step::Ready(Err(self.1.clone()))
    }
}

#[tokio::test]
async fn on_fault_is_for_faults_only() {
    let refusal = Refusal::new(Reason::BudgetStoreUnavailable);
    let refused = Err(Stop::Refused(refusal.clone()));
    for (halt, on_fault, ran, passed) in [
        (Halt::Faulted(refusal.clone()), OnFault::Pass, Ok(()), &["fixed"][..]),
        (Halt::Faulted(refusal.clone()), OnFault::Refuse, refused.clone(), &[]),
        (Halt::Refused(refusal.clone()), OnFault::Pass, refused, &[]),
        (
            Halt::Answered(http::StatusCode::NO_CONTENT),
            OnFault::Pass,
            Err(Stop::Answered(http::StatusCode::NO_CONTENT)),
            &[],
        ),
    ] {
        let chain = Chain::new(vec![Box::new(Fixed("fixed", halt, on_fault))]);
        let mut request = Request::get("/");
        let stopped_by = ran.is_err().then_some("fixed");
        assert_eq!(run_all(&chain, &mut request).await, ran);
        assert_eq!(request.facts.faults_passed, passed);
        assert_eq!(request.facts.stopped_by, stopped_by);
    }
}

#[test]
fn a_reservation_is_given_back_unless_it_is_kept() {
    let store = FakeStore::new(Says::Granted(1), false);
    let key = ReplayKey { device_session_id: "s".to_owned(), request_id: "r".to_owned() };
    let reserve = || Reservation::new(Arc::<FakeStore>::clone(&store), key.clone());
    reserve().keep();
    assert!(store.released.lock().unwrap().is_empty());
    drop(Facts { reservation: Some(reserve()), ..Facts::default() });
    assert_eq!(store.released.lock().unwrap().as_slice(), std::slice::from_ref(&key));
}
