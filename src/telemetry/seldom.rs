//! A limit on how often one thing is logged.
//!
//! What clients or a broken backend can bring about again and again would otherwise fill a disk, and push the
//! lines that matter out of the log. The access log and the metrics have every request anyway.

use prometheus::IntCounter;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use tracing::{Event, Level, Subscriber, callsite::Identifier};
use tracing_subscriber::layer::{Context, Layer};

/// More than one, so that two backends that fail at once are both seen.
const LINES_A_SECOND: u32 = 5;
const SECOND: Duration = Duration::from_secs(1);

/// Passes a few events a second of each place in the code, and counts the others.
pub(super) struct Seldom {
    places: Mutex<HashMap<Identifier, Passed>>,
    dropped: IntCounter,
}

#[derive(Clone, Copy)]
struct Passed {
    since: Instant,
    lines: u32,
}

impl Seldom {
    pub(super) fn new(dropped: IntCounter) -> Self {
        Self { places: Mutex::default(), dropped }
    }

    fn passes(&self, place: Identifier, now: Instant) -> bool {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = places.entry(place).or_insert(Passed { since: now, lines: 0 });
        if now.saturating_duration_since(passed.since) >= SECOND {
            *passed = Passed { since: now, lines: 0 };
        }
        passed.lines = passed.lines.saturating_add(1);
        passed.lines <= LINES_A_SECOND
    }
}

impl<S: Subscriber> Layer<S> for Seldom {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        // Whoever turns on debugging wants every line.
        if *metadata.level() >= Level::DEBUG || self.passes(metadata.callsite(), Instant::now()) {
            return true;
        }
        self.dropped.inc();
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    };
    use tracing_subscriber::layer::SubscriberExt as _;

    struct Count(Arc<AtomicU32>);

    impl<S: Subscriber> Layer<S> for Count {
        fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn each_place_may_speak_a_little_and_the_rest_is_counted() {
        let (dropped, seen) = (IntCounter::new("dropped", "dropped").unwrap(), Arc::new(AtomicU32::new(0)));
        let log = tracing_subscriber::registry().with(Seldom::new(dropped.clone())).with(Count(Arc::clone(&seen)));
        tracing::subscriber::with_default(log, || {
            for _ in 0..1000 {
                tracing::warn!("one place");
                tracing::debug!("no limit");
            }
            tracing::error!("another place");
        });
        // A second may go by on a busy machine.
        let warnings = 1001 - u32::try_from(dropped.get()).unwrap();
        assert!((LINES_A_SECOND + 1..500).contains(&warnings), "{warnings}");
        assert_eq!(seen.load(Relaxed), 1000 + warnings);
    }

    #[test]
    fn a_second_later_a_place_may_speak_again() {
        let seldom = Seldom::new(IntCounter::new("dropped", "dropped").unwrap());
        let place = tracing::callsite!(name: "place", kind: tracing::metadata::Kind::EVENT, fields: );
        let place = tracing::callsite::Callsite::metadata(place).callsite();
        let now = Instant::now();
        let passed = (0..10).filter(|_| seldom.passes(place.clone(), now)).count();
        assert_eq!(passed, 5);
        assert!(!seldom.passes(place.clone(), now + SECOND / 2));
        assert!(seldom.passes(place, now + SECOND));
    }
}
