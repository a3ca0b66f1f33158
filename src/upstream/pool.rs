//! Kept connections to one endpoint.

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;
use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A connection that can take one request at a time.
pub(super) type Sender = SendRequest<Full<Bytes>>;

/// Idle connections, the one used last on top: under a light load the rest ages out.
#[derive(Default)]
pub(super) struct Pool(Mutex<Vec<Idle>>);

struct Idle {
    sender: Sender,
    since: Instant,
}

impl Pool {
    /// A connection that is open and younger than `idle_timeout`, where there is one.
    pub(super) fn take(&self, idle_timeout: Duration) -> Option<Sender> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(Idle { sender, since }) = idle.pop() {
            if since.elapsed() >= idle_timeout {
                // Those below have waited longer still.
                idle.clear();
                return None;
            }
            if sender.is_ready() {
                return Some(sender);
            }
        }
        None
    }

    /// Keeps a connection whose answer was read to its end.
    pub(super) fn put(&self, sender: Sender, idle_max: usize) {
        if sender.is_closed() {
            return;
        }
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < idle_max {
            idle.push(Idle { sender, since: Instant::now() });
        }
    }
}
