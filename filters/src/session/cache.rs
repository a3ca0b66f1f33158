//! What lookups have said lately, where an operator has switched that on.

use super::{
    flight::Found,
    invalidations::{Feeds, Invalidations, Moment},
    recent::Recent,
};
use crate::api::SessionRecord;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// A flood of invented ids pushes out other unknown ones, and nothing else.
const UNKNOWN_MAX: usize = 16_384;
/// What has a longer user_id is not cached, so that the memory of an entry is bounded.
const USER_ID_BYTES_MAX: usize = 128;

/// What is kept of a lookup's answers. By default nothing is.
#[derive(Debug, Clone, Default)]
pub struct CacheOptions {
    /// Sessions, active and revoked ones.
    pub sessions: Option<SessionCache>,
    /// For how long a session that was not there is taken not to be there.
    pub unknown_for: Option<Duration>,
}

/// For how long sessions are taken to be as they were found.
#[derive(Debug, Clone)]
pub struct SessionCache {
    /// Counted from when the lookup was asked.
    pub ttl: Duration,
    /// The most sessions that are kept: the oldest go. Some 700 bytes each, at most 1 KiB.
    pub sessions_max: usize,
    /// Whether it is used where no feed tells of revoked sessions. One that is configured must be up.
    pub without_feed: bool,
}

pub(super) struct Cache {
    known: Option<Known>,
    unknown: Option<Unknown>,
    invalidations: Arc<Invalidations>,
}

struct Known {
    options: SessionCache,
    sessions: Mutex<Recent<Entry>>,
}

struct Entry {
    session: Arc<SessionRecord>,
    /// When it was asked for, but with the newest generation that is known not to have ended it.
    as_of: Moment,
}

struct Unknown {
    lives: Duration,
    ids: Mutex<Recent<Duration>>,
}

impl Cache {
    pub(super) fn new(options: CacheOptions, invalidations: Arc<Invalidations>) -> Self {
        let known = options.sessions.map(|options| {
            let sessions = Mutex::new(Recent::new(options.ttl, options.sessions_max));
            Known { options, sessions }
        });
        let unknown =
            options.unknown_for.map(|lives| Unknown { lives, ids: Mutex::new(Recent::new(lives, UNKNOWN_MAX)) });
        Self { known, unknown, invalidations }
    }

    /// The session as it was found lately, where that may still be said of it at `now`.
    pub(super) fn session(&self, device_session_id: &str, now: Moment) -> Option<Arc<SessionRecord>> {
        let known = self.known.as_ref().filter(|known| known.is_used(now))?;
        let mut sessions = lock(&known.sessions);
        let entry = sessions.get_mut(device_session_id)?;
        let is_of_now = entry.as_of.term == now.term && !is_over(entry.as_of.at, known.options.ttl, now);
        // Asked once for each entry after each invalidation: an index by user would cost every entry memory.
        if is_of_now && !self.invalidations.has_ended(&entry.session, entry.as_of) {
            entry.as_of.generation = now.generation;
            return Some(Arc::clone(&entry.session));
        }
        sessions.remove(device_session_id);
        None
    }

    /// Whether it was found lately that there is no such session.
    pub(super) fn is_unknown(&self, device_session_id: &str, now: Moment) -> bool {
        self.unknown.as_ref().is_some_and(|unknown| {
            lock(&unknown.ids).get(device_session_id).is_some_and(|asked| !is_over(*asked, unknown.lives, now))
        })
    }

    /// Keeps what was found by a lookup that began then.
    pub(super) fn keep(&self, device_session_id: &str, found: &Found, began: Moment) {
        match (found, &self.known, &self.unknown) {
            (Ok(Some(session)), Some(known), _)
                if known.is_used(began) && session.user_id.len() <= USER_ID_BYTES_MAX =>
            {
                let entry = Entry { session: Arc::clone(session), as_of: began };
                lock(&known.sessions).insert(device_session_id, entry, began.at, |_, _| {});
            }
            (Ok(None), _, Some(unknown)) => lock(&unknown.ids).insert(device_session_id, began.at, began.at, |_, _| {}),
            _ => {}
        }
    }
}

impl Known {
    fn is_used(&self, now: Moment) -> bool {
        match now.term.feeds() {
            Feeds::Up => true,
            Feeds::Down => false,
            Feeds::None => self.options.without_feed,
        }
    }
}

fn is_over(since: Duration, lives: Duration, now: Moment) -> bool {
    now.at.saturating_sub(since) >= lives
}

/// Every change under these locks is complete after each step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
