//! Whether invalidations come through.

use super::{Invalidations, Memory};
use std::sync::{
    Arc,
    atomic::Ordering::{Relaxed, Release},
};

/// A stretch of time in which the feeds were the same and lost nothing. What was cached in another is not used:
/// an invalidation may have been missed in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::session) struct Term {
    number: u64,
    feeds: Feeds,
}

/// What the feeds are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::session) enum Feeds {
    /// There are none, so nothing is ever told.
    #[default]
    None,
    /// At least one is not there.
    Down,
    /// All are there.
    Up,
}

impl Term {
    /// What the feeds are like in it.
    pub(in crate::session) fn feeds(self) -> Feeds {
        self.feeds
    }

    pub(super) fn from_bits(bits: u64) -> Self {
        let feeds = match bits & 3 {
            0 => Feeds::None,
            1 => Feeds::Down,
            _ => Feeds::Up,
        };
        Self { number: bits >> 2, feeds }
    }

    fn bits(self) -> u64 {
        self.number << 2 | self.feeds as u64
    }
}

/// One push stream that brings invalidations, down until it says that it is up.
///
/// A cache of sessions is used only while all feeds are up, and begins empty with each change. Dropped, the
/// feed is no more: with the last of them, caches that need one are unused.
pub struct Feed {
    invalidations: Arc<Invalidations>,
    is_up: bool,
}

impl Feed {
    /// Adds a feed.
    #[must_use]
    pub fn new(invalidations: Arc<Invalidations>) -> Self {
        invalidations.begin_term(|memory| memory.feeds += 1);
        Self { invalidations, is_up: false }
    }

    /// The stream is open: every invalidation from here on will be told. Not to be said before the backend has
    /// answered the subscription.
    pub fn up(&mut self) {
        let was_up = std::mem::replace(&mut self.is_up, true);
        self.invalidations.begin_term(|memory| memory.feeds_up += usize::from(!was_up));
    }

    /// The stream has ended, or says nothing where it should.
    pub fn down(&mut self) {
        let was_up = std::mem::replace(&mut self.is_up, false);
        self.invalidations.begin_term(|memory| memory.feeds_up -= usize::from(was_up));
    }

    /// Something was lost on the way that nothing will bring again.
    pub fn gap(&mut self) {
        self.invalidations.begin_term(|_| {});
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let was_up = self.is_up;
        self.invalidations.begin_term(|memory| {
            memory.feeds -= 1;
            memory.feeds_up -= usize::from(was_up);
        });
    }
}

impl Invalidations {
    fn begin_term(&self, change: impl FnOnce(&mut Memory)) {
        let mut memory = self.write();
        change(&mut memory);
        let feeds = match memory.feeds {
            0 => Feeds::None,
            all if memory.feeds_up == all => Feeds::Up,
            _ => Feeds::Down,
        };
        let number = Term::from_bits(self.term.load(Relaxed)).number + 1;
        self.term.store(Term { number, feeds }.bits(), Release);
    }
}
