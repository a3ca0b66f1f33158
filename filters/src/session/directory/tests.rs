use super::super::{Feed, SessionCache};
use super::*;
use crate::{api::SessionRecord, fakes::FakeClock};
use futures_util::{FutureExt as _, future::BoxFuture};
use std::{collections::VecDeque, sync::Mutex, time::Duration};
use tokio::sync::oneshot;

const SECOND: Duration = Duration::from_secs(1);

/// Says of `s-N` that it is Ann's and active, unless the test has something else to say next. Answers at once,
/// or when it is told to.
#[derive(Default)]
struct Backend {
    asked: Mutex<usize>,
    next: Mutex<VecDeque<Found>>,
    gate: Mutex<Option<oneshot::Receiver<()>>>,
}

impl SessionLookup for Backend {
    fn find(&self, device_session_id: &str) -> BoxFuture<'static, Found> {
        *self.asked.lock().unwrap() += 1;
        let found = self.next.lock().unwrap().pop_front();
        let found = found.unwrap_or_else(|| Ok(Some(record(device_session_id, "ann", SessionStatus::Active))));
        let gate = self.gate.lock().unwrap().take();
        async move {
            if let Some(gate) = gate {
                gate.await.unwrap();
            }
            found
        }
        .boxed()
    }
}

#[derive(Default)]
struct Counted(Mutex<Vec<String>>);

impl Counts for Counted {
    fn answered(&self, from: AnsweredFrom) {
        self.0.lock().unwrap().push(format!("{from:?}"));
    }

    fn looked_up(&self, outcome: LookedUp) {
        self.0.lock().unwrap().push(format!("={outcome:?}"));
    }
}

struct Scene {
    directory: Directory,
    backend: Arc<Backend>,
    invalidations: Arc<Invalidations>,
    clock: Arc<FakeClock>,
    counted: Arc<Counted>,
}

/// What the tests' caches have unless they say otherwise: 30 s for a session, 1 s for an unknown id, 3 sessions.
fn cache(without_feed: bool) -> CacheOptions {
    let sessions = SessionCache { ttl: SECOND * 30, sessions_max: 3, without_feed };
    CacheOptions { sessions: Some(sessions), unknown_for: Some(SECOND) }
}

fn scene(options: CacheOptions) -> Scene {
    let clock = Arc::<FakeClock>::default();
    let invalidations = Arc::new(Invalidations::new(Arc::<FakeClock>::clone(&clock)));
    let (backend, counted) = (Arc::<Backend>::default(), Arc::<Counted>::default());
    let directory = Directory::new(
        Arc::<Backend>::clone(&backend),
        options,
        Arc::clone(&invalidations),
        Arc::<Counted>::clone(&counted),
    );
    Scene { directory, backend, invalidations, clock, counted }
}

fn record(device_session_id: &str, user_id: &str, status: SessionStatus) -> Session {
    let (device_session_id, user_id) = (device_session_id.to_owned(), user_id.to_owned());
    Arc::new(SessionRecord { device_session_id, user_id, status, key: None })
}

impl Scene {
    /// Asks as the filter does.
    fn ask(&self, id: &str) -> BoxFuture<'static, &'static str> {
        let now = self.directory.now();
        if let Some(known) = self.directory.known(id, now) {
            return std::future::ready(word(&Ok(known))).boxed();
        }
        self.directory.look_up(id, now).map(|standing| word(&standing)).boxed()
    }

    fn ask_now(&self, id: &str) -> &'static str {
        self.ask(id).now_or_never().expect("the backend is not held")
    }

    /// Has the backend answer the next question when the sender says so.
    fn hold(&self) -> oneshot::Sender<()> {
        let (release, gate) = oneshot::channel();
        *self.backend.gate.lock().unwrap() = Some(gate);
        release
    }

    fn says(&self, found: Found) {
        self.backend.next.lock().unwrap().push_back(found);
    }

    fn asked(&self) -> usize {
        *self.backend.asked.lock().unwrap()
    }
}

fn word(standing: &Result<Standing, LookupFault>) -> &'static str {
    match standing {
        Ok(Standing::Active(..)) => "active",
        Ok(Standing::Revoked) => "revoked",
        Ok(Standing::Unknown) => "unknown",
        Err(_) => "fault",
    }
}

#[test]
fn by_default_every_question_is_asked() {
    let scene = scene(CacheOptions::default());
    let mut feed = Feed::new(Arc::clone(&scene.invalidations));
    feed.up();
    for found in [Ok(None), Ok(None), Err(LookupFault::new("down", "it is down"))] {
        scene.says(found);
    }
    for (asked, expected) in ["unknown", "unknown", "fault", "active", "active"].into_iter().enumerate() {
        assert_eq!((scene.ask_now("s-1"), scene.asked()), (expected, asked + 1));
    }
}

#[test]
fn what_was_found_is_used_for_its_time_and_a_fault_never() {
    let scene = scene(cache(true));
    let revoked = record("s-2", "ann", SessionStatus::Revoked);
    for found in [Err(LookupFault::new("down", "it is down")), Ok(None)] {
        scene.says(found);
    }
    // At this millisecond one asks for this; so it stands; and so often the backend was asked by then.
    for (at_ms, id, expected, asked) in [
        (0, "s-1", "fault", 1),
        (0, "s-1", "unknown", 2),
        (999, "s-1", "unknown", 2),
        (1000, "s-1", "active", 3),
        (30_999, "s-1", "active", 3),
        (31_000, "s-1", "active", 4),
    ] {
        scene.clock.set(Duration::from_millis(at_ms));
        assert_eq!((scene.ask_now(id), scene.asked()), (expected, asked), "at {at_ms} ms");
    }
    scene.says(Ok(Some(revoked)));
    assert_eq!((scene.ask_now("s-2"), scene.ask_now("s-2"), scene.asked()), ("revoked", "revoked", 5));
}

/// The answer is as old as the question, however long the backend took.
#[test]
fn time_is_counted_from_the_question() {
    let scene = scene(cache(true));
    let release = scene.hold();
    let mut asking = scene.ask("s-1");
    assert!((&mut asking).now_or_never().is_none());
    scene.clock.set(SECOND * 20);
    release.send(()).unwrap();
    assert_eq!(asking.now_or_never(), Some("active"));
    scene.clock.set(SECOND * 29);
    assert_eq!((scene.ask_now("s-1"), scene.asked()), ("active", 1));
    scene.clock.set(SECOND * 30);
    assert_eq!((scene.ask_now("s-1"), scene.asked()), ("active", 2));
}

#[test]
fn the_oldest_goes_first_and_long_names_are_not_kept() {
    let scene = scene(cache(true));
    for id in ["s-1", "s-2", "s-3", "s-4"] {
        scene.ask_now(id);
    }
    for (id, asked) in [("s-2", 4), ("s-3", 4), ("s-4", 4), ("s-1", 5)] {
        assert_eq!((scene.ask_now(id), scene.asked()), ("active", asked), "{id}");
    }
    for asked in [6, 7] {
        scene.says(Ok(Some(record("s-9", &"x".repeat(129), SessionStatus::Active))));
        assert_eq!((scene.ask_now("s-9"), scene.asked()), ("active", asked));
    }
}

/// Whoever invents ids pushes out no session.
#[test]
fn unknown_ids_have_a_place_of_their_own() {
    let scene = scene(cache(true));
    scene.ask_now("s-1");
    for invented in 0..100 {
        scene.says(Ok(None));
        assert_eq!(scene.ask_now(&invented.to_string()), "unknown");
    }
    assert_eq!((scene.ask_now("s-1"), scene.ask_now("99"), scene.asked()), ("active", "unknown", 101));
}

#[test]
fn sessions_are_cached_only_while_the_feed_is_up() {
    let scene = scene(cache(false));
    let asked_twice = || {
        let before = scene.asked();
        scene.ask_now("s-1");
        scene.ask_now("s-1");
        scene.asked() - before
    };
    assert_eq!(asked_twice(), 2, "no feed");
    let mut feed = Feed::new(Arc::clone(&scene.invalidations));
    assert_eq!(asked_twice(), 2, "a feed that was never up");
    feed.up();
    assert_eq!((asked_twice(), asked_twice()), (1, 0));
    feed.down();
    assert_eq!(asked_twice(), 2);
    feed.up();
    assert_eq!(asked_twice(), 1, "what was cached before it was down is not used after");
    feed.gap();
    assert_eq!(asked_twice(), 1);
    drop(feed);
    assert_eq!(asked_twice(), 2);
}

#[test]
fn without_feed_means_where_there_is_none() {
    let scene = scene(cache(true));
    scene.ask_now("s-1");
    assert_eq!((scene.ask_now("s-1"), scene.asked()), ("active", 1));
    let mut feed = Feed::new(Arc::clone(&scene.invalidations));
    scene.ask_now("s-1");
    assert_eq!((scene.ask_now("s-1"), scene.asked()), ("active", 3), "one that is there must be up");
    feed.up();
    scene.ask_now("s-1");
    assert_eq!((scene.ask_now("s-1"), scene.asked()), ("active", 4));
}

#[test]
fn what_was_asked_in_another_term_is_not_cached() {
    let scene = scene(cache(false));
    let mut feed = Feed::new(Arc::clone(&scene.invalidations));
    feed.up();
    let release = scene.hold();
    let mut asking = scene.ask("s-1");
    assert!((&mut asking).now_or_never().is_none());
    feed.down();
    feed.up();
    release.send(()).unwrap();
    assert_eq!(asking.now_or_never(), Some("active"), "it is believed");
    assert_eq!((scene.ask_now("s-1"), scene.asked()), ("active", 2));
}

#[test]
fn invalidations_reach_the_cache() {
    let scene = scene(cache(true));
    scene.says(Ok(Some(record("s-3", "bob", SessionStatus::Active))));
    for id in ["s-3", "s-1", "s-2"] {
        scene.ask_now(id);
    }
    scene.invalidations.invalidate_user("ann");
    assert_eq!((scene.ask_now("s-3"), scene.asked()), ("active", 3));
    scene.says(Ok(Some(record("s-1", "ann", SessionStatus::Revoked))));
    assert_eq!((scene.ask_now("s-1"), scene.ask_now("s-2"), scene.asked()), ("revoked", "active", 5));
    scene.invalidations.invalidate_session("s-2");
    assert_eq!((scene.ask_now("s-2"), scene.ask_now("s-3"), scene.asked()), ("revoked", "active", 5));
    // The window is over: the lookup decides again, not what was cached before.
    scene.clock.set(SECOND * 91);
    assert_eq!((scene.ask_now("s-2"), scene.asked()), ("active", 6));
}

/// Others come and go, and are forgotten: whoever is asked for meanwhile stays cached.
#[test]
fn a_session_that_is_in_use_outlives_what_was_invalidated_before() {
    let sessions = SessionCache { ttl: SECOND * 3600, sessions_max: 3, without_feed: true };
    let scene = scene(CacheOptions { sessions: Some(sessions), unknown_for: None });
    for id in ["s-1", "s-2"] {
        scene.ask_now(id);
    }
    scene.invalidations.invalidate_user("bob");
    scene.ask_now("s-1");
    scene.clock.set(SECOND * 1000);
    scene.invalidations.invalidate_user("bob");
    assert_eq!((scene.ask_now("s-1"), scene.asked()), ("active", 2));
    assert_eq!((scene.ask_now("s-2"), scene.asked()), ("active", 3), "of this one nobody knows");
}

#[test]
fn a_lookup_that_an_invalidation_overtakes_is_not_believed() {
    let overtaken = |invalidate: &dyn Fn(&Invalidations)| {
        let scene = scene(cache(true));
        let release = scene.hold();
        let mut asking = scene.ask("s-1");
        assert!((&mut asking).now_or_never().is_none());
        invalidate(&scene.invalidations);
        let mut after = scene.ask("s-1");
        let after = (&mut after).now_or_never();
        release.send(()).unwrap();
        let asking = asking.now_or_never().unwrap();
        (asking, after, scene.ask_now("s-1"), scene.asked())
    };
    // Who asked before, who asks after, who asks when both have their answers, and how often the backend was asked.
    assert_eq!(overtaken(&|all| all.invalidate_session("s-1")), ("revoked", Some("revoked"), "revoked", 1));
    let (before, after, later, asked) = overtaken(&|all| all.invalidate_user("ann"));
    assert_eq!((before, after, later), ("revoked", Some("active"), "active"));
    assert!(asked >= 2, "what was asked before is neither shared nor cached");
    assert_eq!(overtaken(&|all| all.invalidate_user("bob")), ("active", Some("active"), "active", 2));
}

#[test]
fn what_an_answer_holds_for_is_when_it_was_asked() {
    let scene = scene(cache(true));
    for _ in 0..2 {
        let now = scene.directory.now();
        let standing = match scene.directory.known("s-1", now) {
            Some(known) => known,
            None => scene.directory.look_up("s-1", now).now_or_never().unwrap().unwrap(),
        };
        let Standing::Active(session, as_of) = standing else { panic!("{standing:?}") };
        assert!(!scene.invalidations.has_ended(&session, as_of));
        scene.invalidations.invalidate_user("ann");
        assert!(scene.invalidations.has_ended(&session, as_of));
        scene.ask_now("s-1");
    }
}

#[test]
fn each_answer_is_counted_by_where_it_came_from() {
    let scene = scene(cache(true));
    let release = scene.hold();
    let asking = [scene.ask("s-1"), scene.ask("s-1")];
    release.send(()).unwrap();
    for asking in asking {
        assert_eq!(asking.now_or_never(), Some("active"));
    }
    scene.ask_now("s-1");
    scene.says(Ok(None));
    scene.ask_now("s-2");
    scene.ask_now("s-2");
    scene.invalidations.invalidate_session("s-1");
    scene.ask_now("s-1");
    assert_eq!(
        *scene.counted.0.lock().unwrap(),
        ["Lookup", "Lookup", "=Active", "Cache", "Lookup", "=Unknown", "UnknownCache", "Invalidations"]
    );
}
