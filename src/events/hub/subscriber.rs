//! One open stream, as its transport sees it.

use super::{
    Hub,
    seal::{Encoded, Entry},
    stream::{EndReason, Next, Stream},
};
use std::{
    collections::VecDeque,
    future::poll_fn,
    net::IpAddr,
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, Waker, ready},
};
use tokio::time::{Instant, Sleep, sleep_until};

use super::event_types::EventTypes;

/// Who subscribes, once the whole chain has let the request through.
#[derive(Debug, Clone)]
pub struct Subscription<'a> {
    /// The device session.
    pub session_id: &'a str,
    /// Whose it is.
    pub user_id: &'a str,
    /// Where the request came from.
    pub client_ip: IpAddr,
    /// Of the subscribe request; the first event carries it.
    pub request_id: &'a str,
    /// The position of the last event seen; empty where nothing is asked.
    pub resume_after: &'a str,
    /// Which events.
    pub event_types: EventTypes,
}

/// What a subscriber is given.
#[derive(Debug, Clone)]
pub enum Delivery {
    /// An event.
    Event(Arc<Encoded>),
    /// Nothing was sent for the heartbeat interval: [`Encoded::heartbeat`], or what the transport has for it.
    Heartbeat,
    /// The stream is over, and this is all that comes from here on.
    End(EndReason),
}

/// An open stream. Dropped, it is closed.
///
/// Its first delivery is `gateway.server_time`, then follows what was missed, then what is pushed.
pub struct Subscriber {
    hub: Arc<Hub>,
    stream: Arc<Stream>,
    /// What goes ahead of the queue.
    ahead: VecDeque<Ahead>,
    /// Runs while what waits is held.
    timer: Option<Pin<Box<Sleep>>>,
    /// What is let go with it.
    held: Option<Box<dyn Send + Sync>>,
}

/// The way to end a stream for whoever does not read it.
#[derive(Clone)]
pub struct Ending(Arc<Stream>);

impl Ending {
    /// Ends it, unless it was ended before.
    pub fn end(&self, reason: EndReason) {
        self.0.end(reason, None);
    }
}

pub(super) enum Ahead {
    /// The first event.
    Sealed(Arc<Encoded>),
    /// Of the history; perhaps nobody here has had it yet.
    Held(Arc<Entry>),
}

enum Taken {
    Delivery(Delivery),
    Held(Instant),
    Nothing,
}

impl Subscriber {
    /// Of a stream that is registered; dropped, it is not any more.
    pub(super) fn new(hub: Arc<Hub>, stream: Arc<Stream>) -> Self {
        Self { hub, stream, ahead: VecDeque::new(), timer: None, held: None }
    }

    pub(super) fn put_ahead(&mut self, ahead: VecDeque<Ahead>) {
        self.ahead = ahead;
    }

    /// Its end, for somebody else to bring about.
    #[must_use]
    pub fn ending(&self) -> Ending {
        Ending(Arc::clone(&self.stream))
    }

    /// Holds on to this for as long as it is open.
    pub fn hold(&mut self, guard: impl Send + Sync + 'static) {
        self.held = Some(Box::new(guard));
    }

    /// Whether events that were missed follow the first one, whose position is ahead of theirs.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.ahead.len() > 1
    }

    /// Waits for what is next. Dropped while it waits, nothing is lost.
    pub async fn next(&mut self) -> Delivery {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`Self::next`], for transports that poll.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Delivery> {
        loop {
            let until = match self.take(Some(cx.waker())) {
                Taken::Delivery(delivery) => {
                    self.timer = None;
                    return Poll::Ready(delivery);
                }
                Taken::Held(until) => until,
                Taken::Nothing => return Poll::Pending,
            };
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
            if timer.deadline() != until {
                timer.as_mut().reset(until);
            }
            ready!(timer.as_mut().poll(cx));
        }
    }

    /// What is there already. A stream loop drains with it before it writes.
    pub fn try_next(&mut self) -> Option<Delivery> {
        match self.take(None) {
            Taken::Delivery(delivery) => Some(delivery),
            Taken::Held(_) | Taken::Nothing => None,
        }
    }

    /// Waits until the backend has ended the session, and takes nothing of what waits. A transport looks for it while it
    /// writes.
    pub async fn revoked(&self) {
        poll_fn(|cx| if self.stream.is_revoked(cx.waker()) { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    fn take(&mut self, waker: Option<&Waker>) -> Taken {
        let delivery = match self.stream.next(waker, !self.ahead.is_empty()) {
            Next::EndedNow(reason) => {
                self.ahead = VecDeque::new();
                return Taken::Delivery(Delivery::End(reason));
            }
            Next::Ended(reason) => return Taken::Delivery(Delivery::End(reason)),
            Next::Held(until) => return Taken::Held(until),
            Next::Event(encoded) => Delivery::Event(encoded),
            Next::Heartbeat => Delivery::Heartbeat,
            Next::Nothing => match self.next_ahead() {
                Some(encoded) => Delivery::Event(encoded),
                None => return Taken::Nothing,
            },
        };
        self.stream.sent(self.hub.tick.load(Relaxed));
        Taken::Delivery(delivery)
    }

    fn next_ahead(&mut self) -> Option<Arc<Encoded>> {
        let ahead = self.ahead.pop_front()?;
        if self.ahead.is_empty() {
            self.ahead = VecDeque::new();
        }
        Some(match ahead {
            Ahead::Sealed(encoded) => encoded,
            Ahead::Held(entry) => Arc::clone(entry.sealed(&self.hub.sealer, &self.stream.user_id)),
        })
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.hub.state().registry.remove(&self.stream);
    }
}
