//! Session lookups and their caches as metrics.

use filters::session::{AnsweredFrom, Counts, LookedUp};
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

/// The counters of all session lookups.
pub(super) struct SessionCounters {
    answers: IntCounterVec,
    lookups: IntCounterVec,
}

impl SessionCounters {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let answers = Opts::new(
            "portcullis_session_answers_total",
            "Answers about sessions, by lookup and where they came from.",
        );
        let lookups =
            Opts::new("portcullis_session_lookups_total", "Sessions that were looked up, by lookup and outcome.");
        let counters = Self {
            answers: IntCounterVec::new(answers, &["sessions", "from"])?,
            lookups: IntCounterVec::new(lookups, &["sessions", "outcome"])?,
        };
        registry.register(Box::new(counters.answers.clone()))?;
        registry.register(Box::new(counters.lookups.clone()))?;
        Ok(counters)
    }

    pub(super) fn of(&self, name: &str) -> SessionMetrics {
        let answers = |from| self.answers.with_label_values(&[name, from]);
        let lookups = |outcome| self.lookups.with_label_values(&[name, outcome]);
        SessionMetrics {
            from_lookup: answers("lookup"),
            from_cache: answers("cache"),
            from_unknown_cache: answers("unknown_cache"),
            from_invalidations: answers("invalidations"),
            active: lookups("active"),
            revoked: lookups("revoked"),
            unknown: lookups("unknown"),
            fault: lookups("fault"),
        }
    }
}

/// The counters of one session lookup.
pub struct SessionMetrics {
    from_lookup: IntCounter,
    from_cache: IntCounter,
    from_unknown_cache: IntCounter,
    from_invalidations: IntCounter,
    active: IntCounter,
    revoked: IntCounter,
    unknown: IntCounter,
    fault: IntCounter,
}

impl Counts for SessionMetrics {
    fn answered(&self, from: AnsweredFrom) {
        let counter = match from {
            AnsweredFrom::Lookup => &self.from_lookup,
            AnsweredFrom::Cache => &self.from_cache,
            AnsweredFrom::UnknownCache => &self.from_unknown_cache,
            AnsweredFrom::Invalidations => &self.from_invalidations,
        };
        counter.inc();
    }

    fn looked_up(&self, outcome: LookedUp) {
        let counter = match outcome {
            LookedUp::Active => &self.active,
            LookedUp::Revoked => &self.revoked,
            LookedUp::Unknown => &self.unknown,
            LookedUp::Fault => &self.fault,
        };
        counter.inc();
    }
}
