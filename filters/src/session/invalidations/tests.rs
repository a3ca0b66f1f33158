use super::*;
use crate::{api::SessionStatus, fakes::FakeClock};

const SECOND: Duration = Duration::from_secs(1);

fn session(device_session_id: &str, user_id: &str) -> SessionRecord {
    let (device_session_id, user_id) = (device_session_id.to_owned(), user_id.to_owned());
    SessionRecord { device_session_id, user_id, status: SessionStatus::Active, key: None }
}

fn invalidations() -> (Arc<Invalidations>, Arc<FakeClock>) {
    let clock = Arc::<FakeClock>::default();
    (Arc::new(Invalidations::new(Arc::<FakeClock>::clone(&clock))), clock)
}

#[test]
fn what_is_in_flight_ends_with_its_session_and_with_its_user() {
    let (invalidations, _) = invalidations();
    let before = invalidations.now();
    let ended = |since| {
        let devices = [("s-1", "ann"), ("s-2", "ann"), ("s-3", "bob"), ("ann", "s-1")];
        devices.map(|(id, user)| invalidations.has_ended(&session(id, user), since))
    };
    assert_eq!(ended(before), [false; 4]);
    invalidations.invalidate_session("s-1");
    assert_eq!(ended(before), [true, false, false, false]);
    let between = invalidations.now();
    invalidations.invalidate_user("ann");
    assert_eq!(ended(before), [true, true, false, false]);
    assert_eq!(ended(between), [true, true, false, false]);
    assert_eq!(ended(invalidations.now()), [false; 4], "of what comes after, the lookup decides");
}

#[test]
fn an_ended_session_is_refused_for_the_window_and_a_users_session_is_not() {
    let (invalidations, clock) = invalidations();
    clock.set(SECOND * 5);
    let is_refused = |id: &str| invalidations.refuses(id, invalidations.now());
    assert!(!is_refused("s-1"));
    invalidations.invalidate_session("s-1");
    invalidations.invalidate_user("s-2");
    assert_eq!((is_refused("s-1"), is_refused("s-2"), is_refused("s-3")), (true, false, false));
    clock.set(SECOND * 50);
    invalidations.invalidate_session("s-3");
    clock.set(SECOND * 95);
    assert!(is_refused("s-1"));
    clock.set(SECOND * 96);
    assert_eq!((is_refused("s-1"), is_refused("s-3")), (false, true), "each has its own window");
    invalidations.invalidate_session("s-1");
    clock.set(SECOND * 186);
    assert!(is_refused("s-1"), "ended again, it is refused as long again");
    clock.set(SECOND * 187);
    assert!(!is_refused("s-1"));
}

#[test]
fn the_window_is_never_shortened() {
    let (invalidations, clock) = invalidations();
    invalidations.cover(SECOND * 300, SECOND);
    invalidations.cover(SECOND, SECOND * 600);
    invalidations.invalidate_session("s-1");
    clock.set(SECOND * 300);
    assert!(invalidations.refuses("s-1", invalidations.now()));
}

/// The wall clock may step as it likes.
#[test]
fn a_stepped_clock_changes_nothing() {
    let (invalidations, clock) = invalidations();
    invalidations.invalidate_session("s-1");
    for step_ms in [3_600_000, -7_200_000] {
        clock.step_wall(step_ms);
        assert!(invalidations.refuses("s-1", invalidations.now()));
    }
}

#[test]
fn what_is_forgotten_counts_as_ended_for_all_who_began_before() {
    let clock = Arc::<FakeClock>::default();
    let invalidations = Invalidations::with_room_for(2, Arc::<FakeClock>::clone(&clock));
    let [first, other] = [session("s-1", "ann"), session("s-9", "zoe")];
    let mut moments = Vec::new();
    for id in ["s-1", "s-2", "s-3"] {
        moments.push(invalidations.now());
        invalidations.invalidate_session(id);
    }
    // The first had to go for the third: nobody who began before it can be told apart.
    assert_eq!(
        moments.iter().map(|since| invalidations.has_ended(&first, *since)).collect::<Vec<_>>(),
        [true, false, false]
    );
    assert!(invalidations.has_ended(&other, moments[0]));
    assert!(!invalidations.has_ended(&other, moments[1]));
    clock.set(SECOND * 1000);
    let since = moments[2];
    assert!(!invalidations.has_ended(&other, since), "nothing is forgotten before something new comes");
    invalidations.invalidate_session("s-4");
    assert!(invalidations.has_ended(&other, since));
    assert!(!invalidations.has_ended(&other, invalidations.now()));
}

#[test]
fn long_ids_are_not_kept_and_not_missed() {
    let (invalidations, _) = invalidations();
    let since = invalidations.now();
    invalidations.invalidate_session(&"x".repeat(129));
    assert!(!invalidations.has_ended(&session("s-1", "ann"), since), "no command can name such a session");
    invalidations.invalidate_user(&"x".repeat(1025));
    assert!(invalidations.has_ended(&session("s-1", &"x".repeat(1025)), since));
    assert!(invalidations.has_ended(&session("s-1", "ann"), since));
    assert!(!invalidations.has_ended(&session("s-1", "ann"), invalidations.now()));
}

#[test]
fn caches_are_used_while_every_feed_is_up() {
    let (invalidations, _) = invalidations();
    let feeds = || invalidations.now().term.feeds();
    assert_eq!(feeds(), Feeds::None);
    let mut one = Feed::new(Arc::clone(&invalidations));
    assert_eq!(feeds(), Feeds::Down);
    one.up();
    assert_eq!(feeds(), Feeds::Up);
    let mut other = Feed::new(Arc::clone(&invalidations));
    assert_eq!(feeds(), Feeds::Down);
    other.up();
    other.up();
    assert_eq!(feeds(), Feeds::Up);
    one.down();
    one.down();
    assert_eq!(feeds(), Feeds::Down);
    drop(one);
    assert_eq!(feeds(), Feeds::Up);
    drop(other);
    assert_eq!(feeds(), Feeds::None);
}

#[test]
fn each_change_of_a_feed_begins_a_term() {
    let (invalidations, _) = invalidations();
    let mut feed = Feed::new(Arc::clone(&invalidations));
    let changes: [fn(&mut Feed); 5] = [Feed::up, Feed::gap, Feed::up, Feed::down, Feed::gap];
    for (index, change) in changes.into_iter().enumerate() {
        let before = invalidations.now();
        change(&mut feed);
        assert_ne!(invalidations.now().term, before.term, "{index}");
        assert!(!invalidations.has_ended(&session("s-1", "ann"), before), "a gap ends nothing that is in flight");
    }
}
