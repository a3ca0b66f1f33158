//! What can go wrong with a server, and what follows from it.

use redis::RedisError;

/// Why there is no link.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum LinkFault {
    /// Nothing was tried yet.
    #[error("not connected yet")]
    NotYet,
    /// No connection, or no login.
    #[error("{server} is out of reach: {why}")]
    Unreachable {
        /// Host and port.
        server: String,
        /// Why.
        why: String,
    },
    /// The connection broke.
    #[error("the connection was closed")]
    Closed,
    /// No answer in time.
    #[error("no answer in time")]
    Silent,
    /// An error for an answer.
    #[error("refused: {0}")]
    Refused(String),
    /// An answer that makes no sense.
    #[error("an answer that makes no sense to {0}")]
    Malformed(&'static str),
    /// A replica, or a server that is loading.
    #[error("{server} is {role}")]
    NotPrimary {
        /// Host and port.
        server: String,
        /// What it says to be.
        role: String,
    },
    /// It may drop replay ids.
    #[error(
        "{server} has `maxmemory-policy {policy}`, which may drop replay ids: set it to `noeviction`, or allow it \
         with `allow_eviction: true`"
    )]
    Evicts {
        /// Host and port.
        server: String,
        /// What it does when its memory is full.
        policy: String,
    },
    /// None of those who should know says where the primary is.
    #[error("nobody knows the primary: {0}")]
    Nowhere(String),
    /// Too many calls in a row failed.
    #[error("{failures} calls in a row failed, the last: {last}")]
    Broken {
        /// So many.
        failures: u32,
        /// The last one's fault.
        last: String,
    },
}

/// Why a call gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum CallFault {
    /// There is no link.
    #[error("{0}")]
    Down(LinkFault),
    /// Too many calls wait already.
    #[error("too many calls wait for an answer")]
    Crowded,
    /// No answer in time.
    #[error("no answer in time")]
    Late,
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The server is not, or no longer, the one to ask.
    #[error("{0}")]
    Misplaced(String),
    /// The script is not there.
    #[error("the script is not loaded")]
    NoScript,
    /// Any other error, such as `OOM`.
    #[error("{0}")]
    Refused(String),
    /// An answer that makes no sense.
    #[error("the answer makes no sense")]
    Malformed,
}

/// Replies after which another server has to be looked for, or this one to be logged in to anew.
const MISPLACED: [&str; 10] =
    ["READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "MOVED", "ASK", "TRYAGAIN", "NOAUTH", "WRONGPASS", "NOPERM"];

impl CallFault {
    /// The word of metrics.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Down(_) => "down",
            Self::Crowded => "crowded",
            Self::Late => "late",
            Self::Broken(_) => "broken",
            Self::Misplaced(_) => "misplaced",
            Self::NoScript | Self::Refused(_) => "refused",
            Self::Malformed => "malformed",
        }
    }

    /// What an error of the library means.
    pub(super) fn of(error: &RedisError) -> Self {
        let Some(code) = error.code() else {
            return match error.is_timeout() {
                true => Self::Late,
                false if error.is_io_error() => Self::Broken(error.to_string()),
                false => Self::Malformed,
            };
        };
        if code == "NOSCRIPT" {
            return Self::NoScript;
        }
        // Redis 6 wraps what a script ran into: `ERR Error running script (...): ...: -READONLY ...`.
        let wraps = |misplaced: &str| error.detail().is_some_and(|text| text.contains(&format!("-{misplaced} ")));
        let is_misplaced = MISPLACED.contains(&code) || (code == "ERR" && MISPLACED.iter().any(|code| wraps(code)));
        let said = match error.detail() {
            Some(detail) => format!("{code} {detail}"),
            None => code.to_owned(),
        };
        if is_misplaced { Self::Misplaced(said) } else { Self::Refused(said) }
    }
}
