//! The connections to one endpoint, and who waits for a place on them.

use super::{
    dial::{self, Waits},
    link::{Link, Place},
};
use crate::upstream::{Endpoint, FaultKind, Unreached};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// The most connections to one endpoint that take streams. With the 100 streams each that RFC 9113 section 6.5.2 asks
/// peers to allow at least, that is 6,400 streams.
const LINKS_MAX: usize = 64;

/// The most calls that wait for a place at one endpoint; further ones are turned away at once.
const LINE_MAX: usize = 10_000;

/// The connections to one endpoint. The lock is held for a few moves in memory only.
pub(in crate::upstream) struct Streams {
    pub(super) waits: Waits,
    state: Mutex<State>,
}

/// Somebody waits only while there is no place, and then a connection is being made, or there may be no further one.
#[derive(Default)]
struct State {
    /// In the order in which they were made, and are filled: under a light load the last ones fall idle.
    open: Vec<Open>,
    is_connecting: bool,
    line: VecDeque<oneshot::Sender<Given>>,
}

/// What somebody in the line gets: a place, or why there is no connection.
type Given = Result<Arc<Place>, Unreached>;

struct Open {
    link: Arc<Link>,
    in_flight: usize,
    idle_since: Instant,
}

impl Streams {
    pub(in crate::upstream) fn new(waits: Waits) -> Self {
        Self { waits, state: Mutex::default() }
    }

    /// A place for a stream, on a connection that is made where there is none.
    ///
    /// # Errors
    /// Where no connection could be made, or too many wait for one.
    pub(super) async fn place(&self, endpoint: &Arc<Endpoint>) -> Given {
        let given = {
            let mut state = self.lock();
            state.leave_if(|open| open.link.is_closed());
            if let Some(place) = state.give() {
                return Ok(place);
            }
            let given = state.join()?;
            state.connect(endpoint);
            given
        };
        given.await.unwrap_or_else(|_| Err(Unreached::new(FaultKind::Reset, "the gateway is stopping")))
    }

    /// A stream has ended.
    pub(super) fn free(&self, link: &Arc<Link>) {
        let mut state = self.lock();
        if let Some(open) = state.find(link) {
            open.in_flight = open.in_flight.saturating_sub(1);
            if open.in_flight == 0 {
                open.idle_since = Instant::now();
            }
        }
        let left_over = state.serve();
        drop(state);
        drop(left_over);
    }

    /// A connection was made.
    pub(super) fn joined(&self, endpoint: &Arc<Endpoint>, link: &Arc<Link>) {
        let mut state = self.lock();
        state.is_connecting = false;
        state.open.push(Open { link: Arc::clone(link), in_flight: 0, idle_since: Instant::now() });
        let left_over = state.serve();
        state.connect(endpoint);
        drop(state);
        drop(left_over);
    }

    /// No connection could be made. Where there are others, those in the line go on waiting for a place on them.
    pub(super) fn failed(&self, why: &Unreached) {
        let mut state = self.lock();
        state.is_connecting = false;
        if state.open.is_empty() {
            for waiting in state.line.drain(..) {
                // Who has gone meanwhile does not want to know.
                drop(waiting.send(Err(why.clone())));
            }
        }
    }

    /// A connection takes no more streams.
    pub(super) fn lost(&self, endpoint: &Arc<Endpoint>, link: &Arc<Link>) {
        let mut state = self.lock();
        state.leave_if(|open| Arc::ptr_eq(&open.link, link));
        state.connect(endpoint);
    }

    /// Leaves a connection that nobody has used for as long as it may be idle, or says when to look again.
    pub(super) fn retire(&self, link: &Arc<Link>) -> Option<Duration> {
        let mut state = self.lock();
        let open = state.find(link)?;
        let idle = if open.in_flight == 0 { open.idle_since.elapsed() } else { Duration::ZERO };
        let left = self.waits.idle.saturating_sub(idle);
        if left.is_zero() {
            state.open.retain(|open| !Arc::ptr_eq(&open.link, link));
            return None;
        }
        Some(left)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn find(&mut self, link: &Arc<Link>) -> Option<&mut Open> {
        self.open.iter_mut().find(|open| Arc::ptr_eq(&open.link, link))
    }

    fn give(&mut self) -> Option<Arc<Place>> {
        let open = self.open.iter_mut().find(|open| open.in_flight < open.link.streams_max())?;
        open.in_flight += 1;
        Some(Place::new(Arc::clone(&open.link)))
    }

    /// A peer that ends one connection is stopping, most often, and about to end the others: new streams go to a new
    /// connection, those in flight stay where they are.
    fn leave_if(&mut self, is_lost: impl Fn(&Open) -> bool) {
        if self.open.iter().any(is_lost) {
            self.open.clear();
        }
    }

    /// Takes a place in the line.
    fn join(&mut self) -> Result<oneshot::Receiver<Given>, Unreached> {
        while self.line.front().is_some_and(oneshot::Sender::is_closed) {
            self.line.pop_front();
        }
        if self.line.len() >= LINE_MAX {
            return Err(Unreached::new(FaultKind::Timeout, format!("{LINE_MAX} calls wait for a stream already")));
        }
        let (sender, receiver) = oneshot::channel();
        self.line.push_back(sender);
        Ok(receiver)
    }

    /// Gives the places that there are to those who wait. What comes back was meant for somebody who has gone: to be
    /// dropped without the lock, which a place takes to free itself.
    #[must_use]
    fn serve(&mut self) -> Option<Arc<Place>> {
        let mut left_over = None;
        while let Some(next) = self.line.pop_front() {
            let Some(place) = left_over.take().or_else(|| self.give()) else {
                self.line.push_front(next);
                break;
            };
            left_over = next.send(Ok(place)).err().and_then(Result::ok);
        }
        left_over
    }

    /// Makes a connection where somebody waits for one. One at a time: all who came meanwhile share it.
    fn connect(&mut self, endpoint: &Arc<Endpoint>) {
        if !self.line.is_empty() && !self.is_connecting && self.open.len() < LINKS_MAX {
            self.is_connecting = true;
            tokio::spawn(dial::connect(Arc::clone(endpoint)));
        }
    }
}
