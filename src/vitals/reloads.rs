//! Who may ask for a reload, and what came of the last one.

use super::{Foreseen, inbox::Inbox};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf, absolute},
    sync::OnceLock,
};
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

/// A configuration's file as it is at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// Where it is, without symbolic links where it is there.
    pub path: String,
    /// The SHA-256 of what it holds, in hexadecimal; none where it cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

impl SourceFile {
    /// Looks at a file; `read` returns what it holds.
    pub fn look(path: &Path, read: impl FnOnce(&Path) -> io::Result<Vec<u8>>) -> Self {
        let known = fs::canonicalize(path).or_else(|_| absolute(path)).unwrap_or_else(|_| path.to_owned());
        let sha256 = read(path).ok().map(|bytes| {
            Sha256::digest(&bytes).iter().fold(String::with_capacity(64), |mut hex, byte| {
                // A String takes everything.
                let _ = write!(hex, "{byte:02x}");
                hex
            })
        });
        Self { path: known.display().to_string(), sha256 }
    }
}

/// The way to whoever follows the configuration's file.
#[derive(Default)]
pub struct Reloads {
    file: OnceLock<PathBuf>,
    asked: Inbox<Order>,
    last: watch::Sender<Option<ReloadOutcome>>,
}

impl Reloads {
    /// Where those who ask come out, until it is dropped. For one taker: any other gets none.
    pub(crate) fn open(&self) -> Option<mpsc::Receiver<Order>> {
        self.asked.open()
    }

    /// Notes which file is followed. A working directory that changes later does not change which file that is.
    pub(crate) fn follows(&self, file: &Path) {
        // There is one for the whole life of a process.
        drop(self.file.set(absolute(file).unwrap_or_else(|_| file.to_owned())));
    }

    /// The file that is followed; none where the configuration did not come from one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.get().map(PathBuf::as_path)
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
