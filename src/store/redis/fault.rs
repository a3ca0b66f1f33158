//! What can go wrong with a server, and what follows from it.

use redis::{ErrorKind, RedisError};

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
    /// The server does not let the gateway in, or not do what it needs to.
    #[error("{server} refuses the store's user: {said}{}", needs(said))]
    Forbidden {
        /// Host and port.
        server: String,
        /// What it says.
        said: String,
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
    /// The user may not do this.
    #[error("{0}")]
    Forbidden(String),
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

/// What the user of a server must be allowed, as `ACL SETUSER` writes it.
const NEEDS: &str = "it needs, on keys with the store's prefix: +info +evalsha +script|load +time +hmget +hset +exists \
                     +mget +set +del +zadd +zremrangebyscore +zcard +pexpire; in a Cluster +cluster|slots \
                     +cluster|keyslot too, and at a Sentinel +sentinel|get-master-addr-by-name";

fn needs(said: &str) -> String {
    if lacks_right(said) { format!("; {NEEDS}") } else { String::new() }
}

/// Whether a reply says that the user lacks a right. Of a command in a script Redis 7.0 says so by `ERR` alone.
fn lacks_right(said: &str) -> bool {
    ["NOPERM ", "ACL failure in script", "The user executing the script can't"].iter().any(|word| said.contains(word))
}

/// Replies by which a server turns a user away: nobody gets further until somebody changes the user, here or there.
const FORBIDDEN: [&str; 3] = ["NOAUTH", "WRONGPASS", "NOPERM"];

/// Replies after which another server has to be looked for.
const MISPLACED: [&str; 7] = ["READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "MOVED", "ASK", "TRYAGAIN"];

impl LinkFault {
    /// What a server's refusal of a question means, ahead of the link's use.
    pub(super) fn refused(server: &str, error: &RedisError) -> Self {
        let said = match CallFault::of(error) {
            CallFault::Forbidden(said) => said,
            // The library's own words, without those of the server.
            _ if error.kind() == ErrorKind::AuthenticationFailed => error.to_string(),
            _ => return Self::Refused(error.to_string()),
        };
        Self::Forbidden { server: server.to_owned(), said }
    }

    /// Whether the server answers, but is set up so that it is of no use.
    pub(super) fn is_setup(&self) -> bool {
        matches!(self, Self::Evicts { .. } | Self::Forbidden { .. })
    }
}

impl CallFault {
    /// The word of metrics.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Down(_) => "down",
            Self::Crowded => "crowded",
            Self::Late => "late",
            Self::Broken(_) => "broken",
            Self::Misplaced(_) => "misplaced",
            Self::Forbidden(_) => "forbidden",
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
        let wraps = |inner: &str| error.detail().is_some_and(|text| text.contains(&format!("-{inner} ")));
        let is_one = |of: &[&str]| of.contains(&code) || (code == "ERR" && of.iter().any(|code| wraps(code)));
        let said = match error.detail() {
            Some(detail) => format!("{code} {detail}"),
            None => code.to_owned(),
        };
        if is_one(&MISPLACED) {
            Self::Misplaced(said)
        } else if is_one(&FORBIDDEN) || lacks_right(&said) {
            Self::Forbidden(said)
        } else {
            Self::Refused(said)
        }
    }
}
