//! One open stream, as the hub sees it: what waits for it, and whether it was ended.

use super::{
    Observer,
    event_types::EventTypes,
    queue::{Popped, Pushed, Queue},
    seal::Encoded,
};
use filters::api::Reason;
use std::{
    mem,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::Waker,
};
use tokio::time::Instant;

/// Why a stream was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// Its queue was full. What waited is gone; it can resume from the last position that it saw.
    ConsumerTooSlow,
    /// The backend has ended its session. What waited is gone.
    SessionRevoked,
    /// The gateway stops. What waited was delivered.
    ShuttingDown,
    /// Another configuration is in force, which has no such stream any more. What waited was delivered.
    RouteChanged,
}

impl EndReason {
    /// The reason on the wire.
    #[must_use]
    pub const fn reason(self) -> Reason {
        match self {
            Self::ConsumerTooSlow => Reason::ConsumerTooSlow,
            Self::SessionRevoked => Reason::SessionRevoked,
            Self::ShuttingDown => Reason::GatewayShuttingDown,
            Self::RouteChanged => Reason::RouteChanged,
        }
    }

    /// Whether what waits is delivered first.
    const fn is_gentle(self) -> bool {
        matches!(self, Self::ShuttingDown | Self::RouteChanged)
    }
}

/// An invalidation, until the last stream that it ended is gone.
pub(super) struct Revocation {
    pub(super) streams: usize,
    pub(super) since: Instant,
    pub(super) observer: Arc<dyn Observer>,
}

impl Drop for Revocation {
    fn drop(&mut self) {
        self.observer.revoked(self.streams, self.since.elapsed());
    }
}

/// What became of an event that was offered to a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offered {
    /// It waits; perhaps another does not any more, which it has replaced.
    Queued {
        has_replaced: bool,
    },
    Overflowed,
    Ended,
}

/// What a stream has next.
pub(super) enum Next {
    /// Ended, and what waits is not delivered any more.
    EndedNow(EndReason),
    /// This was queued.
    Event(Arc<Encoded>),
    /// Ended, with everything delivered.
    Ended(EndReason),
    /// What is queued is held until then.
    Held(Instant),
    /// Nothing is queued, and nothing was sent for long.
    Heartbeat,
    Nothing,
}

/// An open stream.
pub(super) struct Stream {
    pub(super) session_id: Arc<str>,
    pub(super) user_id: Arc<str>,
    pub(super) network: IpAddr,
    pub(super) event_types: EventTypes,
    /// Where the registry has it, in each of its lists; changed under the registry's lock only.
    pub(super) at_all: AtomicU32,
    pub(super) at_user: AtomicU32,
    pub(super) at_session: AtomicU32,
    /// The tick of the heartbeat's timer at which something was last sent.
    pub(super) sent_at: AtomicU32,
    inbox: Mutex<Inbox>,
}

#[derive(Default)]
struct Inbox {
    queue: Queue,
    waker: Option<Waker>,
    end: Option<EndReason>,
    is_silent: bool,
    /// Only held, never read: the invalidation's time is over when the last stream lets it go.
    revocation: Option<Arc<Revocation>>,
}

impl Stream {
    pub(super) fn new(session_id: &str, user_id: &str, client_ip: IpAddr, event_types: EventTypes, tick: u32) -> Self {
        Self {
            session_id: session_id.into(),
            user_id: user_id.into(),
            network: network(client_ip),
            event_types,
            at_all: AtomicU32::new(0),
            at_user: AtomicU32::new(0),
            at_session: AtomicU32::new(0),
            sent_at: AtomicU32::new(tick),
            inbox: Mutex::default(),
        }
    }

    /// Queues an event, or ends the stream where its queue is full. Never waits for the consumer.
    pub(super) fn offer(&self, encoded: &Arc<Encoded>, events_max: usize, bytes_max: usize) -> Offered {
        let mut inbox = self.inbox();
        if inbox.end.is_some() {
            return Offered::Ended;
        }
        let Some(Pushed { has_replaced, is_news }) = inbox.queue.push(encoded, events_max, bytes_max) else {
            inbox.end_now(EndReason::ConsumerTooSlow);
            wake(inbox);
            return Offered::Overflowed;
        };
        if is_news {
            wake(inbox);
        }
        Offered::Queued { has_replaced }
    }

    /// Ends it. True where it was not ended before.
    pub(super) fn end(&self, reason: EndReason, revocation: Option<&Arc<Revocation>>) -> bool {
        let mut inbox = self.inbox();
        let is_overridden = match inbox.end {
            None => true,
            // Neither would end a stream at once whose client does not read.
            Some(EndReason::ShuttingDown | EndReason::RouteChanged | EndReason::ConsumerTooSlow) => {
                reason == EndReason::SessionRevoked
            }
            Some(EndReason::SessionRevoked) => false,
        };
        if !is_overridden {
            return false;
        }
        if reason.is_gentle() {
            inbox.end = Some(reason);
            inbox.queue.release();
        } else {
            inbox.end_now(reason);
        }
        inbox.revocation = revocation.cloned();
        wake(inbox);
        true
    }

    /// Has it carry a heartbeat, unless something waits: then it is not silent, but slow.
    pub(super) fn remind(&self) {
        let mut inbox = self.inbox();
        if inbox.queue.is_empty() {
            inbox.is_silent = true;
            wake(inbox);
        }
    }

    /// What is next. Where it is nothing, `waker` is woken when something comes. Events that go ahead of the queue
    /// are delivered by the caller, which says whether `has_ahead` is so.
    pub(super) fn next(&self, waker: Option<&Waker>, has_ahead: bool) -> Next {
        let mut inbox = self.inbox();
        match inbox.end {
            Some(end) if !end.is_gentle() => return Next::EndedNow(end),
            _ if has_ahead => return Next::Nothing,
            _ => {}
        }
        let next = match inbox.queue.pop() {
            Popped::Event(encoded) => {
                inbox.is_silent = false;
                return Next::Event(encoded);
            }
            Popped::Held(until) => Next::Held(until),
            Popped::Nothing => match (inbox.end, mem::take(&mut inbox.is_silent)) {
                (Some(end), _) => return Next::Ended(end),
                (None, true) => return Next::Heartbeat,
                (None, false) => Next::Nothing,
            },
        };
        if let Some(waker) = waker {
            inbox.wait(waker);
        }
        next
    }

    /// Whether its session was ended. Where it was not, `waker` is woken when that or anything else comes.
    pub(super) fn is_revoked(&self, waker: &Waker) -> bool {
        let mut inbox = self.inbox();
        let is_revoked = inbox.end == Some(EndReason::SessionRevoked);
        if !is_revoked {
            inbox.wait(waker);
        }
        is_revoked
    }

    pub(super) fn sent(&self, tick: u32) {
        self.sent_at.store(tick, Relaxed);
    }

    /// A panic under this lock would leave a queue that is whole, at worst without a wake-up.
    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inbox {
    fn end_now(&mut self, reason: EndReason) {
        self.end = Some(reason);
        self.queue = Queue::default();
    }

    fn wait(&mut self, waker: &Waker) {
        if !self.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            self.waker = Some(waker.clone());
        }
    }
}

/// Wakes the consumer once the lock is free: it would otherwise run into it.
fn wake(mut inbox: MutexGuard<'_, Inbox>) {
    let waker = inbox.waker.take();
    drop(inbox);
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// Who is counted as one: a single IPv6 client commands a whole /64 (RFC 6177).
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
        v4 => v4,
    }
}
