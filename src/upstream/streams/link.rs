//! One connection to an endpoint, and the places of streams on it.

use super::body::Outgoing;
use crate::upstream::Endpoint;
use futures_util::task::AtomicWaker;
use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http2::SendRequest},
};
use std::{
    fmt,
    sync::{
        Arc, Weak,
        atomic::{
            AtomicBool, AtomicUsize,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    task::Waker,
};

/// The most streams of one connection, whatever the peer allows: each connection is served by one task, so that more
/// of them spread over the cores, and the windows of so many streams fit into that of the connection.
const STREAMS_MAX: usize = 1024;

/// An open connection. It is closed when the last of its streams has ended and nobody holds this any more.
pub(super) struct Link {
    sender: SendRequest<Outgoing>,
    allowed: Arc<AtomicUsize>,
    endpoint: Weak<Endpoint>,
}

impl Link {
    /// `allowed` is what the peer's `SETTINGS_MAX_CONCURRENT_STREAMS` says at the moment.
    pub(super) fn new(sender: SendRequest<Outgoing>, allowed: Arc<AtomicUsize>, endpoint: &Arc<Endpoint>) -> Arc<Self> {
        Arc::new(Self { sender, allowed, endpoint: Arc::downgrade(endpoint) })
    }

    /// How many streams it may carry at once.
    pub(super) fn streams_max(&self) -> usize {
        self.allowed.load(Relaxed).min(STREAMS_MAX)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Sends a request. Whoever calls holds a place.
    pub(super) fn send(
        &self,
        request: Request<Outgoing>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Outgoing>>>> + use<> {
        self.sender.clone().try_send_request(request)
    }
}

/// The place of one stream on a connection, which is free again when both bodies of the stream are gone.
pub(super) struct Place {
    link: Arc<Link>,
    is_abandoned: AtomicBool,
    sending: AtomicWaker,
}

impl Place {
    pub(super) fn new(link: Arc<Link>) -> Arc<Self> {
        Arc::new(Self { link, is_abandoned: AtomicBool::new(false), sending: AtomicWaker::new() })
    }

    pub(super) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Nobody wants the answer any more.
    pub(super) fn abandon(&self) {
        self.is_abandoned.store(true, Release);
        self.sending.wake();
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.is_abandoned.load(Acquire)
    }

    /// Whether nobody wants the answer any more; where somebody does, `waker` is told when that ends.
    pub(super) fn is_abandoned_or_wakes(&self, waker: &Waker) -> bool {
        self.sending.register(waker);
        self.is_abandoned()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(endpoint) = self.link.endpoint.upgrade() {
            endpoint.streams.free(&self.link);
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Place")
    }
}
