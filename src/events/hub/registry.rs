//! Which streams are open: by user, by device session, and how many from where.

use super::{seal::Audience, stream::Stream};
use crate::plan::events::StreamCaps;
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

/// A cap that would be exceeded by one more stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Full {
    /// Of this device session.
    #[error("too many event streams of this device session")]
    Session,
    /// Of this user.
    #[error("too many event streams of this user")]
    User,
    /// From this address.
    #[error("too many event streams from this address")]
    Address,
    /// In all.
    #[error("too many event streams")]
    All,
}

/// The open streams.
pub(super) struct Registry {
    caps: StreamCaps,
    all: Vec<Arc<Stream>>,
    users: HashMap<Arc<str>, Vec<Arc<Stream>>>,
    sessions: HashMap<Arc<str>, Vec<Arc<Stream>>>,
    networks: HashMap<IpAddr, usize>,
}

impl Registry {
    pub(super) fn new(caps: StreamCaps) -> Self {
        let (users, sessions, networks) = Default::default();
        Self { caps, all: Vec::new(), users, sessions, networks }
    }

    /// Adds a stream, unless one of the caps is reached.
    pub(super) fn add(&mut self, stream: &Arc<Stream>) -> Result<(), Full> {
        let of = |lists: &HashMap<Arc<str>, Vec<Arc<Stream>>>, id: &str| lists.get(id).map_or(0, Vec::len);
        let open = self.networks.get(&stream.network).copied().unwrap_or(0);
        let counts = [
            (of(&self.sessions, &stream.session_id), self.caps.per_session, Full::Session),
            (of(&self.users, &stream.user_id), self.caps.per_user, Full::User),
            (open, self.caps.per_ip, Full::Address),
            (self.all.len(), self.caps.max, Full::All),
        ];
        if let Some((_, _, full)) = counts.into_iter().find(|(count, most, _)| count >= most) {
            return Err(full);
        }
        self.networks.insert(stream.network, open + 1);
        push(&mut self.all, stream, at_all);
        // Most users and sessions have one stream: a list that grows by itself would begin with four places.
        let one = || Vec::with_capacity(1);
        push(self.users.entry(Arc::clone(&stream.user_id)).or_insert_with(one), stream, at_user);
        push(self.sessions.entry(Arc::clone(&stream.session_id)).or_insert_with(one), stream, at_session);
        Ok(())
    }

    /// Removes a stream that was added.
    pub(super) fn remove(&mut self, stream: &Stream) {
        take(&mut self.all, stream, at_all);
        take_from(&mut self.users, &stream.user_id, stream, at_user);
        take_from(&mut self.sessions, &stream.session_id, stream, at_session);
        if let Some(open) = self.networks.get_mut(&stream.network) {
            *open -= 1;
            if *open == 0 {
                self.networks.remove(&stream.network);
            }
        }
    }

    /// Appends the streams that an event is for.
    pub(super) fn matching(&self, audience: Audience<'_>, into: &mut Vec<Arc<Stream>>) {
        let candidates: &[Arc<Stream>] = match audience {
            Audience::Everybody => &self.all,
            Audience::User(user_id) => self.users.get(user_id).map_or(&[], Vec::as_slice),
            Audience::Session { session_id, .. } => self.sessions.get(session_id).map_or(&[], Vec::as_slice),
        };
        let is_meant = |stream: &&Arc<Stream>| audience.has(&stream.session_id, &stream.user_id);
        into.extend(candidates.iter().filter(is_meant).cloned());
    }

    /// A part of all streams. What is added or removed between two parts may be missed or come twice.
    pub(super) fn part(&self, from: usize, most: usize) -> impl Iterator<Item = &Arc<Stream>> {
        self.all.iter().skip(from).take(most)
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }
}

/// Where a stream keeps its place in one of the lists.
type Place = fn(&Stream) -> &AtomicU32;

fn at_all(stream: &Stream) -> &AtomicU32 {
    &stream.at_all
}

fn at_user(stream: &Stream) -> &AtomicU32 {
    &stream.at_user
}

fn at_session(stream: &Stream) -> &AtomicU32 {
    &stream.at_session
}

fn push(list: &mut Vec<Arc<Stream>>, stream: &Arc<Stream>, place: Place) {
    // `streams.max` is far below what fits.
    place(stream).store(u32::try_from(list.len()).unwrap_or(u32::MAX), Relaxed);
    list.push(Arc::clone(stream));
}

/// Removes in constant time, whatever the length: a user with thousands of devices disconnects like any other.
fn take(list: &mut Vec<Arc<Stream>>, stream: &Stream, place: Place) {
    let at = place(stream).load(Relaxed);
    let index = at as usize;
    if list.get(index).is_some_and(|found| std::ptr::eq(&raw const **found, stream)) {
        list.swap_remove(index);
        if let Some(moved) = list.get(index) {
            place(moved).store(at, Relaxed);
        }
    }
}

fn take_from(lists: &mut HashMap<Arc<str>, Vec<Arc<Stream>>>, id: &str, stream: &Stream, place: Place) {
    if let Some(list) = lists.get_mut(id) {
        take(list, stream, place);
        if list.is_empty() {
            lists.remove(id);
        }
    }
}
