//! The device sessions, as far as the gateway may know them.

use super::{
    cache::{Cache, CacheOptions},
    flight::{Found, Landed, SharedLookup},
    invalidations::{Invalidations, Moment},
};
use crate::api::{LookupFault, Session, SessionLookup, SessionStatus};
use std::sync::Arc;

/// The sessions of one lookup: what was invalidated is refused, what is cached is used, and for the rest those who
/// ask together share one question.
pub struct Directory {
    lookup: SharedLookup,
    desk: Arc<Desk>,
}

/// What is done with every answer of the lookup.
struct Desk {
    cache: Cache,
    invalidations: Arc<Invalidations>,
    counts: Arc<dyn Counts>,
}

/// What the directory says of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It may act. Whatever is done for it holds only while [`Invalidations::has_ended`] has nothing against it
    /// since that moment.
    Active(Session, Moment),
    /// It was ended.
    Revoked,
    /// There is none.
    Unknown,
}

/// Where an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnsweredFrom {
    /// The lookup, alone or with others.
    Lookup,
    /// The cache of sessions.
    Cache,
    /// The cache of ids that are unknown.
    UnknownCache,
    /// What was invalidated lately.
    Invalidations,
}

/// What one lookup came to, however many have waited for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookedUp {
    /// A session that may act.
    Active,
    /// A session that was ended.
    Revoked,
    /// No session.
    Unknown,
    /// Nothing usable.
    Fault,
}

/// Counts what directories do.
pub trait Counts: Send + Sync {
    /// Somebody got an answer, or will.
    fn answered(&self, from: AnsweredFrom);
    /// A lookup has ended.
    fn looked_up(&self, outcome: LookedUp);
}

impl Directory {
    /// The sessions that `lookup` knows.
    #[must_use]
    pub fn new(
        lookup: Arc<dyn SessionLookup>,
        options: CacheOptions,
        invalidations: Arc<Invalidations>,
        counts: Arc<dyn Counts>,
    ) -> Self {
        let cache = Cache::new(options, Arc::clone(&invalidations));
        let desk = Arc::new(Desk { cache, invalidations, counts });
        Self { lookup: SharedLookup::new(lookup, Arc::<Desk>::clone(&desk)), desk }
    }

    /// What is to be said of a session now.
    ///
    /// # Errors
    /// Where the lookup is out of reach.
    pub async fn standing(&self, device_session_id: &str) -> Result<Standing, LookupFault> {
        let now = self.now();
        match self.known(device_session_id, now) {
            Some(standing) => Ok(standing),
            None => self.look_up(device_session_id, now).await,
        }
    }

    /// The moment that [`Self::known`] and [`Self::look_up`] are asked about.
    pub(super) fn now(&self) -> Moment {
        self.desk.invalidations.now()
    }

    /// What is known of the session without asking the lookup.
    pub(super) fn known(&self, device_session_id: &str, now: Moment) -> Option<Standing> {
        let Desk { cache, invalidations, counts } = &*self.desk;
        let (from, standing) = if invalidations.refuses(device_session_id, now) {
            (AnsweredFrom::Invalidations, Standing::Revoked)
        } else if let Some(session) = cache.session(device_session_id, now) {
            (AnsweredFrom::Cache, standing(session, now))
        } else if cache.is_unknown(device_session_id, now) {
            (AnsweredFrom::UnknownCache, Standing::Unknown)
        } else {
            return None;
        };
        counts.answered(from);
        Some(standing)
    }

    /// Asks the lookup. What was ended while it was asked is revoked, whatever it says: it may have been read
    /// before that.
    pub(super) fn look_up(
        &self,
        device_session_id: &str,
        now: Moment,
    ) -> impl Future<Output = Result<Standing, LookupFault>> + Send + use<> {
        self.desk.counts.answered(AnsweredFrom::Lookup);
        let (finding, desk) = (self.lookup.find(device_session_id, now), Arc::clone(&self.desk));
        async move {
            let (found, began) = finding.await;
            Ok(match found? {
                None => Standing::Unknown,
                Some(session) if desk.invalidations.has_ended(&session, began) => Standing::Revoked,
                Some(session) => standing(session, began),
            })
        }
    }
}

impl Landed for Desk {
    fn landed(&self, device_session_id: &str, found: &Found, began: Moment) {
        self.cache.keep(device_session_id, found, began);
        self.counts.looked_up(match found {
            Err(_) => LookedUp::Fault,
            Ok(None) => LookedUp::Unknown,
            Ok(Some(session)) => match session.status {
                SessionStatus::Active => LookedUp::Active,
                SessionStatus::Revoked => LookedUp::Revoked,
            },
        });
    }
}

fn standing(session: Session, as_of: Moment) -> Standing {
    match session.status {
        SessionStatus::Active => Standing::Active(session, as_of),
        SessionStatus::Revoked => Standing::Revoked,
    }
}

#[cfg(test)]
mod tests;
