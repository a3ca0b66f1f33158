//! What the proxy says to a stream that Pingora holds, and only shows by reference.

use super::{Dismissal, GuardedStream};
use std::{
    io,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until};

/// A stream was read from when its time was over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the time for this request is over")]
pub struct Overdue;

/// A tunnel was read from that is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the tunnel's route is another now")]
pub struct Ended;

/// What was said about the current request.
///
/// Relaxed is enough: the hooks and the reads of a request run in one task.
#[derive(Debug)]
pub(super) struct Lent {
    accepted: Instant,
    /// Milliseconds after `accepted`; 0 is never.
    due: AtomicU64,
    switched: AtomicBool,
    broken_off: AtomicBool,
    dismissal: OnceLock<Arc<Dismissal>>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Lent {
    pub(super) fn new() -> Self {
        Self {
            accepted: Instant::now(),
            due: AtomicU64::new(0),
            switched: AtomicBool::new(false),
            broken_off: AtomicBool::new(false),
            dismissal: OnceLock::new(),
            timer: None,
        }
    }

    /// Forgets what was said about the request before.
    pub(super) fn reset(&mut self) {
        *self.due.get_mut() = 0;
        *self.switched.get_mut() = false;
        *self.broken_off.get_mut() = false;
        self.dismissal = OnceLock::new();
        self.timer = None;
    }

    pub(super) fn has_switched(&self) -> bool {
        self.switched.load(Relaxed)
    }

    pub(super) fn is_broken_off(&self) -> bool {
        self.broken_off.load(Relaxed)
    }

    /// Fails when the time is over, or a tunnel is to end. Where neither was said it costs two loads.
    pub(super) fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if self.dismissal.get().is_some_and(|dismissal| dismissal.poll_given(cx).is_ready()) {
            return Poll::Ready(io::Error::new(io::ErrorKind::ConnectionAborted, Ended));
        }
        let due = self.due.load(Relaxed);
        if due == 0 {
            return Poll::Pending;
        }
        let Some(at) = self.accepted.checked_add(Duration::from_millis(due)) else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if timer.deadline() > at {
            timer.as_mut().reset(at);
        }
        // Mostly it is put off: how far is looked at when the time has come.
        loop {
            ready!(timer.as_mut().poll(cx));
            if timer.deadline() >= at {
                break;
            }
            timer.as_mut().reset(at);
        }
        Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, Overdue))
    }
}

impl GuardedStream {
    /// From `due` on, reading fails with [`Overdue`]; never where it is none. Pingora has no other place for a
    /// time that begins in the middle of a request.
    pub fn set_due(&self, due: Option<Instant>) {
        let after = |due: Instant| due.saturating_duration_since(self.lent.accepted).as_millis();
        let due = due.map_or(0, |due| u64::try_from(after(due)).unwrap_or(u64::MAX).saturating_add(1));
        self.lent.due.store(due, Relaxed);
    }

    /// Whether the client asked to speak another protocol.
    #[must_use]
    pub fn may_switch(&self) -> bool {
        self.may_switch
    }

    /// After the request's body comes what is not HTTP: the client's wish to switch protocols was granted.
    pub fn switch(&self) {
        self.lent.switched.store(true, Relaxed);
    }

    /// The answer has begun and will not be whole: its end must not look like one.
    pub fn break_off(&self) {
        self.lent.broken_off.store(true, Relaxed);
    }

    /// What ends it from then on: reading fails with [`Ended`].
    pub fn dismissal(&self) -> Arc<Dismissal> {
        Arc::clone(self.lent.dismissal.get_or_init(Arc::default))
    }
}
