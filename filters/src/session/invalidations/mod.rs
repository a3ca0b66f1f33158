//! Which sessions were ended while the gateway runs.

mod feed;

use super::recent::{Gone, Recent};
use crate::{
    api::{Clock, SessionRecord},
    freshness,
};
pub use feed::Feed;
pub(super) use feed::Feeds;
use feed::Term;
use std::{
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{
            AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    time::Duration,
};

/// The most sessions, and the most users, whose invalidation is remembered: some 300 bytes each, and only
/// as many as the backend ends within [`Invalidations::cover`]. Nobody outside can make one.
const REMEMBERED_MAX: usize = 262_144;
/// No envelope has a longer device_session_id, so no request has to be refused for one.
const SESSION_ID_BYTES_MAX: usize = 128;
/// A longer user_id is not remembered; see [`Invalidations::invalidate_user`].
const USER_ID_BYTES_MAX: usize = 1024;
const NEVER: u64 = u64::MAX;

/// Which sessions and users the backend has invalidated, for everything that began before it was told.
///
/// One for the process, and for every plan that it runs: a reload forgets nothing. Whoever reads the push stream
/// calls it; the session filters and whoever signs an answer ask it.
///
/// A command takes a [`Moment`] before its session is looked up, and is refused when its session or its user was
/// invalidated after that. As long as nothing was, that is one comparison of two integers.
pub struct Invalidations {
    clock: Arc<dyn Clock>,
    /// How many there were.
    generation: AtomicU64,
    /// What the feeds are like, as [`Term`] writes it.
    term: AtomicU64,
    /// When the last session was invalidated, in milliseconds of the monotonic clock, or `NEVER`.
    last_session_ms: AtomicU64,
    /// For how long its id is refused, in milliseconds.
    refused_ms: AtomicU64,
    memory: RwLock<Memory>,
}

struct Memory {
    sessions: Recent<Noted>,
    users: Recent<Noted>,
    /// The newest generation that is not remembered any more.
    forgotten: u64,
    feeds: usize,
    feeds_up: usize,
}

#[derive(Debug, Clone, Copy)]
struct Noted {
    generation: u64,
    at: Duration,
}

/// When something was asked, measured by what could have changed the answer since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moment {
    pub(super) generation: u64,
    pub(super) term: Term,
    pub(super) at: Duration,
}

impl Invalidations {
    /// Nothing was invalidated, and no feed is there.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::with_room_for(REMEMBERED_MAX, clock)
    }

    fn with_room_for(remembered_max: usize, clock: Arc<dyn Clock>) -> Self {
        let window = freshness::Config::default().window();
        let recent = || Recent::new(window, remembered_max);
        let memory = Memory { sessions: recent(), users: recent(), forgotten: 0, feeds: 0, feeds_up: 0 };
        Self {
            clock,
            generation: AtomicU64::new(0),
            term: AtomicU64::new(0),
            last_session_ms: AtomicU64::new(NEVER),
            refused_ms: AtomicU64::new(millis(window)),
            memory: RwLock::new(memory),
        }
    }

    /// Refuses an invalidated session for at least `window`, which is how long a command signed by it stays
    /// fresh, and remembers invalidations longer by what a command may be `in_flight`. Never shortens what an
    /// earlier call has set: what was promised under an older plan is kept.
    pub fn cover(&self, window: Duration, in_flight: Duration) {
        self.refused_ms.fetch_max(millis(window), Relaxed);
        let remembered = window.saturating_add(in_flight);
        let mut memory = self.write();
        memory.sessions.live_at_least(remembered);
        memory.users.live_at_least(remembered);
    }

    /// The backend has ended this device session. From now on its id is refused for the whole window, whatever
    /// a lookup says, and so is what is in flight for it.
    pub fn invalidate_session(&self, device_session_id: &str) {
        if device_session_id.len() > SESSION_ID_BYTES_MAX {
            return;
        }
        let mut memory = self.write();
        // Read under the lock, so that time goes forward only.
        let at = self.clock.monotonic();
        let generation = self.next();
        let Memory { sessions, forgotten, .. } = &mut *memory;
        note(sessions, forgotten, device_session_id, Noted { generation, at });
        self.last_session_ms.store(millis(at), Relaxed);
        // Last, and released: whoever sees the generation sees why it moved.
        self.generation.store(generation, Release);
    }

    /// Something about this user's sessions has changed. What is in flight for any of them is refused and none
    /// stays cached; for what comes after, the lookup decides.
    ///
    /// For a user_id of more than 1 KiB everything that is in flight is refused, whoever sent it: it is not worth
    /// its memory, and must not be missed.
    pub fn invalidate_user(&self, user_id: &str) {
        let mut memory = self.write();
        let at = self.clock.monotonic();
        let generation = self.next();
        let Memory { users, forgotten, .. } = &mut *memory;
        if user_id.len() > USER_ID_BYTES_MAX {
            *forgotten = generation;
        } else {
            note(users, forgotten, user_id, Noted { generation, at });
        }
        self.generation.store(generation, Release);
    }

    /// Now. Taken before a session is looked up, it holds for what the lookup says.
    #[must_use]
    pub fn now(&self) -> Moment {
        Moment {
            generation: self.generation.load(Acquire),
            term: Term::from_bits(self.term.load(Acquire)),
            at: self.clock.monotonic(),
        }
    }

    /// Whether this session is refused at `now`, whatever a lookup says.
    #[must_use]
    pub fn refuses(&self, device_session_id: &str, now: Moment) -> bool {
        let refused_ms = self.refused_ms.load(Relaxed);
        let is_within = |since_ms: u64| millis(now.at).saturating_sub(since_ms) <= refused_ms;
        let last_ms = self.last_session_ms.load(Relaxed);
        last_ms != NEVER
            && is_within(last_ms)
            && self.read().sessions.get(device_session_id).is_some_and(|noted| is_within(millis(noted.at)))
    }

    /// Whether a session that was looked up at `since` was ended after that, or its user's sessions were
    /// changed. Also where that cannot be known any more.
    #[must_use]
    pub fn has_ended(&self, session: &SessionRecord, since: Moment) -> bool {
        if self.generation.load(Acquire) == since.generation {
            return false;
        }
        let memory = self.read();
        let is_later = |noted: Option<&Noted>| noted.is_some_and(|noted| noted.generation > since.generation);
        memory.forgotten > since.generation
            || is_later(memory.sessions.get(&session.device_session_id))
            || is_later(memory.users.get(&session.user_id))
    }

    /// The next generation. Called under the lock only.
    fn next(&self) -> u64 {
        self.generation.load(Relaxed) + 1
    }

    /// A panic while the lock was held left nothing half done that others could not live with: the generation
    /// moves last.
    fn read(&self) -> RwLockReadGuard<'_, Memory> {
        self.memory.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Memory> {
        self.memory.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes an invalidation, and which is the newest that had to go for it.
fn note(recent: &mut Recent<Noted>, forgotten: &mut u64, id: &str, noted: Noted) {
    let mut is_early = false;
    recent.insert(id, noted, noted.at, |gone, why| {
        *forgotten = gone.generation.max(*forgotten);
        is_early |= why == Gone::Early;
    });
    if is_early {
        tracing::error!("more was invalidated at once than is remembered: the oldest is left to the lookup");
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(NEVER - 1)
}

#[cfg(test)]
mod tests;
