//! Who may ask for an upgrade.

use super::inbox::Inbox;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

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

/// The way to whoever starts the new process.
#[derive(Default)]
pub struct Upgrades(Inbox<oneshot::Sender<Upgrade>>);

impl Upgrades {
    /// Where those who ask come out, until it is dropped. For one taker: any other gets none.
    pub(crate) fn open(&self) -> Option<mpsc::Receiver<oneshot::Sender<Upgrade>>> {
        self.0.open()
    }

    /// Has another process take this one's place. None where nobody starts one: the configuration did not come from a
    /// file, or the gateway stops.
    pub async fn ask(&self) -> Option<Upgrade> {
        let (answer, told) = oneshot::channel();
        self.0.put(answer)?;
        told.await.ok()
    }
}
