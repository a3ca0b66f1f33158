//! Who may ask for a reload, and what came of the last one.

use super::{Foreseen, inbox::Inbox};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot, watch};

/// What came of a reload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum ReloadOutcome {
    /// The configuration is in force.
    Reloaded {
        /// What is in force now.
        revision: String,
    },
    /// It is the one that was in force.
    Unchanged {
        /// What is in force.
        revision: String,
    },
    /// Another was in force than whoever asked had seen.
    Outdated {
        /// What is in force.
        revision: String,
    },
    /// It was not taken up, and all is as it was.
    Refused {
        /// What is in force.
        revision: String,
        /// Why not.
        why: String,
        /// What it would have done, where it is refused for that.
        #[serde(skip_serializing_if = "Option::is_none")]
        foreseen: Option<Box<Foreseen>>,
    },
}

impl ReloadOutcome {
    /// What it is counted as.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Reloaded { .. } => "reloaded",
            Self::Unchanged { .. } => "unchanged",
            Self::Outdated { .. } => "outdated",
            Self::Refused { .. } => "refused",
        }
    }
}

/// Under which conditions a configuration is taken up.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// The revisions of which one must be in force, where any are named.
    pub if_match: Option<Vec<String>>,
    /// Whether it may end any number of streams.
    pub is_forced: bool,
}

/// Somebody wants something of the configuration.
pub(crate) enum Order {
    /// That it is taken up, and to be told what came of it.
    Reload(Terms, oneshot::Sender<ReloadOutcome>),
    /// To be told what that would do; or, as an outcome, why it would not be taken up.
    Foresee(oneshot::Sender<Result<Foreseen, ReloadOutcome>>),
}

impl Order {
    /// Nothing is read now.
    pub(crate) fn refuse(self, revision: String, why: &str) {
        let refused = ReloadOutcome::Refused { revision, why: why.to_owned(), foreseen: None };
        // Whoever asked may have gone.
        match self {
            Self::Reload(_, answer) => drop(answer.send(refused)),
            Self::Foresee(answer) => drop(answer.send(Err(refused))),
        }
    }
}

/// The way to whoever follows the configuration's file.
#[derive(Default)]
pub struct Reloads {
    asked: Inbox<Order>,
    last: watch::Sender<Option<ReloadOutcome>>,
}

impl Reloads {
    /// Where those who ask come out, until it is dropped. For one taker: any other gets none.
    pub(crate) fn open(&self) -> Option<mpsc::Receiver<Order>> {
        self.asked.open()
    }

    /// Has the configuration read again. None where nobody does: it did not come from a file, the gateway stops, or
    /// others wait for the same.
    pub async fn ask(&self, terms: Terms) -> Option<ReloadOutcome> {
        let (answer, told) = oneshot::channel();
        self.asked.put(Order::Reload(terms, answer))?;
        told.await.ok()
    }

    /// What a reload would do now. None where nobody would do it.
    pub async fn foresee(&self) -> Option<Result<Foreseen, ReloadOutcome>> {
        let (answer, told) = oneshot::channel();
        self.asked.put(Order::Foresee(answer))?;
        told.await.ok()
    }

    /// What came of the last reload.
    #[must_use]
    pub fn last(&self) -> Option<ReloadOutcome> {
        self.last.borrow().clone()
    }

    /// What comes of reloads from here on. Of several in quick succession only the last may be seen.
    #[must_use]
    pub fn follow(&self) -> watch::Receiver<Option<ReloadOutcome>> {
        self.last.subscribe()
    }

    pub(crate) fn ended(&self, outcome: ReloadOutcome) {
        self.last.send_replace(Some(outcome));
    }
}
