//! What the streams of one connection share with the task that drives it.

use bytes::Bytes;
use h2::{Reason, SendStream, server::SendResponse};
use pingora_core::protocols::http::custom::server::Session;
use std::{
    cell::Cell,
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicBool, AtomicUsize,
            Ordering::{AcqRel, Acquire, Release},
        },
    },
    time::Duration,
};
use tokio::{
    sync::Notify,
    task_local,
    time::{Instant, sleep},
};

/// Malformed requests in a row after which a connection ends. One is forgiven every second, so that a connection of days
/// that carries many clients' requests is not cut for the few of them that are malformed.
const MALFORMED_MAX: u32 = 32;
const FORGIVEN_AFTER: Duration = Duration::from_secs(1);

/// The streams of a connection that are being served, and what they ask of it.
#[derive(Debug, Default)]
pub(super) struct Active {
    count: AtomicUsize,
    ended: Notify,
    called: Notify,
    has_broken: AtomicBool,
    broken: Mutex<Vec<SendResponse<Bytes>>>,
    malformed: Mutex<Malformed>,
}

/// How many malformed requests came of late.
#[derive(Debug, Default)]
struct Malformed {
    count: u32,
    /// Up to when they were forgiven.
    since: Option<Instant>,
}

/// Counts as a stream for as long as it lives.
#[derive(Debug)]
pub struct Serving(Arc<Active>);

/// The stream that a task serves.
pub(super) struct Served {
    serving: Serving,
    /// On its way from the session to whoever takes the stream over.
    exit: Cell<Option<SendStream<Bytes>>>,
}

task_local! {
    pub(super) static SERVED: Served;
}

/// Counts the current task's stream of HTTP/2 for longer than that task, where it serves one.
#[must_use]
pub fn serving() -> Option<Serving> {
    SERVED.try_with(|served| served.serving.0.begin()).ok()
}

/// Takes down that the request of the current task's stream is malformed. A connection that brings too many of them
/// ends.
pub fn note_malformed() {
    // HTTP/1 ends with the first of them.
    let _ = SERVED.try_with(|served| served.serving.0.note_malformed());
}

/// Takes the way out of the stream that the current task serves, once its answer has begun. Nothing more can be written
/// through `session`.
pub fn take_exit(session: &mut dyn Session) -> Option<SendStream<Bytes>> {
    // Pingora's trait has no way to it. Custom messages, of which HTTP/2 has none, are asked for in its place.
    drop(session.take_custom_message_reader());
    SERVED.try_with(|served| served.exit.take()).ok().flatten()
}

impl Served {
    pub(super) fn new(serving: Serving) -> Self {
        Self { serving, exit: Cell::new(None) }
    }

    /// Leaves a stream's way out for [`take_exit`].
    pub(super) fn leave_exit(exit: SendStream<Bytes>) {
        let _ = SERVED.try_with(|served| served.exit.set(Some(exit)));
    }
}

impl Active {
    pub(super) fn begin(self: &Arc<Self>) -> Serving {
        self.count.fetch_add(1, AcqRel);
        Serving(Arc::clone(self))
    }

    /// Resolves when for `idle` no stream was served.
    pub(super) async fn idle(&self, idle: Duration) {
        while self.count.load(Acquire) > 0 {
            // One waiter: a permit left by an earlier end only makes it look once more.
            self.ended.notified().await;
        }
        sleep(idle).await;
    }

    /// Resolves when a stream has something for the connection to do.
    pub(super) async fn called(&self) {
        self.called.notified().await;
    }

    /// Has a stream reset whose answer cannot be finished. What is written of it is sent first.
    pub(super) fn break_off(&self, stream: SendResponse<Bytes>) {
        lock(&self.broken).push(stream);
        self.has_broken.store(true, Release);
        self.called.notify_one();
    }

    /// The streams to be reset once what is written by now is sent.
    pub(super) fn take_broken(&self) -> Vec<SendResponse<Bytes>> {
        if self.has_broken.swap(false, AcqRel) { mem::take(&mut *lock(&self.broken)) } else { Vec::new() }
    }

    fn note_malformed(&self) {
        if lock(&self.malformed).add(Instant::now()) >= MALFORMED_MAX {
            self.called.notify_one();
        }
    }

    /// Whether more malformed requests came than one connection may bring.
    pub(super) fn is_fed_up(&self) -> bool {
        lock(&self.malformed).count >= MALFORMED_MAX
    }
}

/// Ends streams whose answers cannot be finished (RFC 9113 section 7: the fault is not the client's).
pub(super) fn reset(streams: Vec<SendResponse<Bytes>>) {
    for mut stream in streams {
        stream.send_reset(Reason::INTERNAL_ERROR);
    }
}

impl Malformed {
    /// Takes down one more. Says how many there are.
    fn add(&mut self, now: Instant) -> u32 {
        let since = *self.since.get_or_insert(now);
        let forgiven = now.saturating_duration_since(since).as_secs() / FORGIVEN_AFTER.as_secs();
        let forgiven = u32::try_from(forgiven).unwrap_or(u32::MAX);
        self.since = if forgiven >= self.count { Some(now) } else { since.checked_add(FORGIVEN_AFTER * forgiven) };
        self.count = self.count.saturating_sub(forgiven).saturating_add(1);
        self.count
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, AcqRel) == 1 {
            self.0.ended.notify_one();
        }
    }
}

/// A list and a count are whole at every step, so a panic elsewhere leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_requests_are_forgiven_in_time() {
        let (begin, mut malformed) = (Instant::now(), Malformed::default());
        let counts = [(0, 1), (0, 2), (500, 3), (1_000, 3), (1_900, 4), (2_100, 4), (60_000, 1), (60_000, 2)];
        for (millis, expected) in counts {
            assert_eq!(malformed.add(begin + Duration::from_millis(millis)), expected, "at {millis} ms");
        }
    }
}
