//! Who may ask for an upgrade.

use serde::Serialize;
use std::sync::{Mutex, PoisonError};
use tokio::sync::{mpsc, oneshot};

/// There is one at a time, and whoever asks meanwhile is told so.
const WAITING_MAX: usize = 4;

/// What came of an upgrade.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Upgrade {
    /// Another process serves from here on.
    Upgraded {
        /// Which.
        pid: u32,
    },
    /// This one serves on, and all is as it was.
    Refused {
        /// Why.
        why: String,
    },
}

/// Who is told what came of it.
pub(super) type Asked = oneshot::Sender<Upgrade>;

/// The way to whoever starts the new process.
#[derive(Default)]
pub struct Upgrades(Mutex<Option<mpsc::Sender<Asked>>>);

impl Upgrades {
    /// Where those who ask come out, from here until it is dropped.
    pub(in crate::life) fn open(&self) -> mpsc::Receiver<Asked> {
        let (asked, receiver) = mpsc::channel(WAITING_MAX);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked);
        receiver
    }

    /// Has another process take this one's place. None where nobody starts one: the configuration did not come from a
    /// file, or the gateway stops.
    pub async fn ask(&self) -> Option<Upgrade> {
        let (answer, told) = oneshot::channel();
        let asked = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        asked.try_send(answer).ok()?;
        // Held on to, it would keep a way open that leads nowhere.
        drop(asked);
        told.await.ok()
    }
}
