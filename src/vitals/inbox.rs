//! The way from whoever asks for something to the one who does it.

use std::sync::{Mutex, PoisonError};
use tokio::sync::mpsc;

/// One that is at work, one that takes up what it may have missed, and a few who will be told the same.
const WAITING_MAX: usize = 4;

/// What is asked for waits here. Before it is opened, too: a gateway is ready a moment before anybody looks.
pub(super) struct Inbox<T> {
    asked: mpsc::Sender<T>,
    unopened: Mutex<Option<mpsc::Receiver<T>>>,
}

impl<T> Default for Inbox<T> {
    fn default() -> Self {
        let (asked, unopened) = mpsc::channel(WAITING_MAX);
        Self { asked, unopened: Mutex::new(Some(unopened)) }
    }
}

impl<T> Inbox<T> {
    /// Where it comes out, until that is dropped. For one taker: any other gets none.
    pub(super) fn open(&self) -> Option<mpsc::Receiver<T>> {
        self.unopened.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Puts something in. None where nobody takes it out any more, or too much waits.
    pub(super) fn put(&self, asked: T) -> Option<()> {
        self.asked.try_send(asked).ok()
    }
}
