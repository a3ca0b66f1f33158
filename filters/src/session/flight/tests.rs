use super::*;
use crate::{api::SessionStatus, fakes::session};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use tokio::sync::{oneshot, watch};

/// A lookup that counts its calls and answers each when it is told to.
#[derive(Default)]
struct Gated {
    calls: AtomicUsize,
    dropped: Arc<AtomicUsize>,
    gates: Mutex<Vec<oneshot::Sender<Found>>>,
}

struct CountsDrop(Arc<AtomicUsize>);

impl Drop for CountsDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

impl SessionLookup for Gated {
    fn find(&self, _: &str) -> BoxFuture<'static, Found> {
        self.calls.fetch_add(1, SeqCst);
        let (gate, answer) = oneshot::channel();
        self.gates.lock().unwrap().push(gate);
        let counts_drop = CountsDrop(Arc::clone(&self.dropped));
        async move {
            let _counts_drop = counts_drop;
            answer.await.expect("the gate was dropped, as a lookup that panics")
        }
        .boxed()
    }
}

impl Gated {
    fn answer(&self, found: Found) {
        self.gates.lock().unwrap().remove(0).send(found).unwrap();
    }

    fn calls(&self) -> usize {
        self.calls.load(SeqCst)
    }
}

/// Remembers what it was told.
#[derive(Default)]
struct Told(Mutex<Vec<(String, Found)>>);

impl Landed for Told {
    fn landed(&self, device_session_id: &str, found: &Found, _: Moment) {
        self.0.lock().unwrap().push((device_session_id.to_owned(), found.clone()));
    }
}

fn shared() -> (Lookup, Arc<Gated>) {
    let gated = Arc::<Gated>::default();
    (Lookup(SharedLookup::new(Arc::<Gated>::clone(&gated), Arc::<Told>::default())), gated)
}

/// A shared lookup in which nothing is ever invalidated.
struct Lookup(SharedLookup);

impl Lookup {
    fn find(&self, device_session_id: &str) -> impl Future<Output = Found> + Send + use<> {
        self.find_at(device_session_id, Moment::default()).map(|(found, _)| found)
    }

    fn find_at(&self, device_session_id: &str, now: Moment) -> impl Future<Output = (Found, Moment)> + Send + use<> {
        self.0.find(device_session_id, now)
    }

    fn is_idle(&self) -> bool {
        let board = self.0.flights.lock();
        board.listed.is_empty() && board.under_way == 0
    }
}

fn found() -> Found {
    Ok(Some(Arc::new(session(SessionStatus::Active))))
}

/// Polls once, so that the lookup is under way.
fn start<F: Future + Unpin>(future: &mut F) {
    assert!(future.now_or_never().is_none());
}

#[tokio::test]
async fn those_who_ask_together_share_one_lookup() {
    let (lookup, gated) = shared();
    let mut waiting: Vec<_> = (0..10).map(|_| Box::pin(lookup.find("a"))).collect();
    let mut other = Box::pin(lookup.find("b"));
    for waits in &mut waiting {
        start(waits);
    }
    start(&mut other);
    assert_eq!(gated.calls(), 2, "one for each session");
    gated.answer(found());
    for waits in waiting {
        assert_eq!(waits.await, found());
    }
    assert!((&mut other).now_or_never().is_none());
}

#[tokio::test]
async fn who_comes_after_the_answer_asks_anew() {
    let (lookup, gated) = shared();
    let mut first = Box::pin(lookup.find("a"));
    let mut second = Box::pin(lookup.find("a"));
    start(&mut first);
    start(&mut second);
    gated.answer(found());
    assert_eq!(first.await, found());
    // The second still holds the answered flight.
    let mut third = Box::pin(lookup.find("a"));
    start(&mut third);
    assert_eq!(gated.calls(), 2);
    gated.answer(Ok(None));
    assert_eq!((second.await, third.await), (found(), Ok(None)));
    assert!(lookup.is_idle());
}

#[tokio::test]
async fn who_came_first_may_leave() {
    let (lookup, gated) = shared();
    let mut first = Box::pin(lookup.find("a"));
    let mut second = Box::pin(lookup.find("a"));
    start(&mut first);
    start(&mut second);
    drop(first);
    gated.answer(found());
    assert_eq!(second.await, found());
    assert_eq!(gated.calls(), 1);
}

#[tokio::test]
async fn a_lookup_that_nobody_waits_for_is_dropped() {
    let (lookup, gated) = shared();
    let mut first = Box::pin(lookup.find("a"));
    start(&mut first);
    drop(first);
    assert_eq!(gated.dropped.load(SeqCst), 1);
    assert!(lookup.is_idle());
    drop(lookup.find("a"));
    assert!(lookup.is_idle(), "also where it was never under way");
    let mut again = Box::pin(lookup.find("a"));
    start(&mut again);
    assert_eq!(gated.calls(), 2);
}

#[tokio::test]
async fn a_panic_is_a_fault_for_all_who_wait() {
    let (lookup, gated) = shared();
    let mut first = Box::pin(lookup.find("a"));
    let mut second = Box::pin(lookup.find("a"));
    start(&mut first);
    start(&mut second);
    gated.gates.lock().unwrap().clear();
    let panicked = Err(LookupFault::new("panic", "the lookup panicked"));
    assert_eq!((first.await, second.await), (panicked.clone(), panicked));
    assert!(lookup.is_idle());
}

#[tokio::test]
async fn so_many_lookups_are_under_way_and_no_more() {
    let (lookup, _) = shared();
    let waiting: Vec<_> = (0..FLIGHTS_MAX).map(|id| lookup.find(&id.to_string())).collect();
    assert!(lookup.find("one more").now_or_never().expect("there is no lookup to wait for").is_err());
    let mut joined = Box::pin(lookup.find("0"));
    start(&mut joined);
    drop((waiting, joined));
    assert!(lookup.is_idle());
}

#[tokio::test]
async fn what_was_asked_before_an_invalidation_is_not_shared_after_it() {
    let (lookup, gated) = shared();
    let [before, after] = [1, 2].map(|generation| Moment { generation, ..Moment::default() });
    let mut first = Box::pin(lookup.find_at("a", before));
    start(&mut first);
    let mut second = Box::pin(lookup.find_at("a", after));
    let mut third = Box::pin(lookup.find_at("a", after));
    start(&mut second);
    start(&mut third);
    assert_eq!(gated.calls(), 2, "the third goes with the second");
    gated.answer(found());
    assert_eq!(first.await, (found(), before));
    let mut fourth = Box::pin(lookup.find_at("a", after));
    start(&mut fourth);
    assert_eq!(gated.calls(), 2, "what took the first's place on the board has stayed there");
    gated.answer(Ok(None));
    for waits in [second, third, fourth] {
        assert_eq!(waits.await, (Ok(None), after));
    }
    assert!(lookup.is_idle());
}

#[tokio::test]
async fn those_that_cannot_be_joined_any_more_count_too() {
    let (lookup, _) = shared();
    let at = |generation| Moment { generation: generation as u64, ..Moment::default() };
    let waiting: Vec<_> = (0..FLIGHTS_MAX).map(|generation| lookup.find_at("a", at(generation))).collect();
    let refused = lookup.find_at("a", at(FLIGHTS_MAX)).now_or_never().expect("there is no lookup to wait for");
    assert!(refused.0.is_err());
    drop(waiting);
    assert!(lookup.is_idle());
}

#[tokio::test]
async fn an_answer_is_told_once_and_a_lookup_that_is_given_up_never() {
    let (gated, told) = (Arc::<Gated>::default(), Arc::<Told>::default());
    let lookup = Lookup(SharedLookup::new(Arc::<Gated>::clone(&gated), Arc::<Told>::clone(&told)));
    let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(lookup.find("a"))).collect();
    let mut given_up = Box::pin(lookup.find("b"));
    waiting.iter_mut().for_each(start);
    start(&mut given_up);
    drop(given_up);
    gated.answer(found());
    futures_util::future::join_all(waiting).await;
    assert_eq!(*told.0.lock().unwrap(), [("a".to_owned(), found())]);
}

/// Whatever the threads' order, everybody gets an answer and nothing stays listed.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn askers_in_parallel_all_get_an_answer() {
    struct Yields;
    impl SessionLookup for Yields {
        fn find(&self, _: &str) -> BoxFuture<'static, Found> {
            async {
                tokio::task::yield_now().await;
                found()
            }
            .boxed()
        }
    }
    let lookup = Arc::new(Lookup(SharedLookup::new(Arc::new(Yields), Arc::<Told>::default())));
    let (start, started) = watch::channel(false);
    let tasks: Vec<_> = (0..200)
        .map(|id| {
            let (lookup, mut started) = (Arc::clone(&lookup), started.clone());
            tokio::spawn(async move {
                started.wait_for(|is_started| *is_started).await.unwrap();
                lookup.find(if id % 2 == 0 { "a" } else { "b" }).await
            })
        })
        .collect();
    start.send(true).unwrap();
    for task in tasks {
        assert_eq!(task.await.unwrap(), found());
    }
    assert!(lookup.is_idle());
}
