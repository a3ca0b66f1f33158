//! What is seen of one endpoint: whether it can be reached, what it answers, what goes wrong.

use super::{fault::FaultKind, rest::Rest};
use std::{
    fmt::Display,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// How often one endpoint is spoken of in the log: its going, and what it does not answer as it should.
const SPEAK_EVERY: Duration = Duration::from_secs(10);

/// Counts since the endpoint was configured.
#[derive(Debug, Default)]
pub struct Counts {
    /// Requests that it was sent, by the class of the answer's status; the first are those without an answer.
    pub requests: [AtomicU64; 6],
    /// What went wrong, in the order of [`FaultKind::ALL`].
    pub faults: [AtomicU64; FaultKind::ALL.len()],
}

/// The health of one endpoint.
pub(super) struct Health {
    upstream: Arc<str>,
    endpoint: String,
    pub(super) rest: Rest,
    pub(super) counts: Counts,
    is_down: AtomicBool,
    spoken: Mutex<Spoken>,
}

/// When the log was told what.
#[derive(Default)]
struct Spoken {
    gone: Option<Instant>,
    fault: Option<Instant>,
    /// Whether its going was told, so that its return is as well.
    is_missed: bool,
}

impl Health {
    pub(super) fn new(upstream: Arc<str>, endpoint: String) -> Self {
        Self {
            upstream,
            endpoint,
            rest: Rest::default(),
            counts: Counts::default(),
            is_down: AtomicBool::new(false),
            spoken: Mutex::default(),
        }
    }

    pub(super) fn upstream(&self) -> &str {
        &self.upstream
    }

    /// Whether the last attempt to connect succeeded, or none was made.
    pub(super) fn is_up(&self) -> bool {
        !self.is_down.load(Relaxed)
    }

    /// It could not be connected to.
    pub(super) fn unreachable(&self, fault: FaultKind, cause: &dyn Display) {
        self.count(fault);
        self.rest.begin(Instant::now());
        if self.is_down.swap(true, Relaxed) {
            return;
        }
        let mut spoken = self.spoken.lock().unwrap_or_else(PoisonError::into_inner);
        if is_due(&mut spoken.gone) {
            spoken.is_missed = true;
            let (upstream, endpoint, fault) = (&*self.upstream, &self.endpoint, fault.as_str());
            tracing::warn!(upstream, endpoint, fault, %cause, "an endpoint cannot be reached");
        }
    }

    /// It was connected to.
    pub(super) fn reached(&self) {
        self.rest.end();
        if !self.is_down.load(Relaxed) || !self.is_down.swap(false, Relaxed) {
            return;
        }
        let mut spoken = self.spoken.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut spoken.is_missed) {
            tracing::info!(upstream = &*self.upstream, endpoint = self.endpoint, "an endpoint can be reached again");
        }
    }

    /// It was connected to, and gave no answer that could be passed on.
    pub(super) fn failed(&self, fault: FaultKind, cause: &dyn Display) {
        self.count(fault);
        let [without_answer, ..] = &self.counts.requests;
        without_answer.fetch_add(1, Relaxed);
        let mut spoken = self.spoken.lock().unwrap_or_else(PoisonError::into_inner);
        if is_due(&mut spoken.fault) {
            let (upstream, endpoint, fault) = (&*self.upstream, &self.endpoint, fault.as_str());
            tracing::warn!(upstream, endpoint, fault, %cause, "an endpoint gave no answer");
        }
    }

    /// It answered with this status.
    pub(super) fn answered(&self, status: u16) {
        if let Some(class) = self.counts.requests.get(usize::from(status / 100)) {
            class.fetch_add(1, Relaxed);
        }
    }

    fn count(&self, fault: FaultKind) {
        if let Some(count) = self.counts.faults.get(fault as usize) {
            count.fetch_add(1, Relaxed);
        }
    }
}

/// Whether the log may be told once more.
fn is_due(last: &mut Option<Instant>) -> bool {
    let now = Instant::now();
    let is_due = last.is_none_or(|last| now.saturating_duration_since(last) >= SPEAK_EVERY);
    if is_due {
        *last = Some(now);
    }
    is_due
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_is_counted_and_whether_it_is_up_is_known() {
        let health = Health::new("backend".into(), "a:1".to_owned());
        assert!(health.is_up());
        health.unreachable(FaultKind::Refused, &"refused");
        health.unreachable(FaultKind::Refused, &"refused");
        assert!(!health.is_up());
        health.reached();
        health.answered(204);
        health.failed(FaultKind::Reset, &"reset");
        assert!(health.is_up());
        let read = |counts: &[AtomicU64; 6]| counts.each_ref().map(|count| count.load(Relaxed));
        assert_eq!(read(&health.counts.requests), [1, 0, 1, 0, 0, 0]);
        assert_eq!(read(&health.counts.faults), [0, 2, 0, 1, 0, 0]);
    }

    #[test]
    fn the_log_is_told_once_in_a_while() {
        let mut last = None;
        assert!(is_due(&mut last));
        assert!(!is_due(&mut last));
        last = Instant::now().checked_sub(SPEAK_EVERY);
        assert!(is_due(&mut last));
    }
}
