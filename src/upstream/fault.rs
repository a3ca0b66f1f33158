//! What goes wrong between the gateway and an endpoint, in the words of logs and metrics.

use std::io;

/// Why a request got no answer from an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// Its name does not resolve.
    Dns,
    /// It takes no connection.
    Refused,
    /// No connection, or no answer, came in time.
    Timeout,
    /// The connection broke off.
    Reset,
    /// TLS could not be agreed on.
    Tls,
    /// What came is no answer that may be passed on.
    BadAnswer,
}

impl FaultKind {
    /// All of them, by their discriminant.
    pub const ALL: [Self; 6] = [Self::Dns, Self::Refused, Self::Timeout, Self::Reset, Self::Tls, Self::BadAnswer];

    /// Its word: the value of `fault` in the access log and the metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Tls => "tls",
            Self::BadAnswer => "bad_answer",
        }
    }

    /// What a failed attempt to connect over TCP means.
    #[must_use]
    pub fn of_connect(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => Self::Timeout,
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => Self::Reset,
            // An address without a route takes no connection either.
            _ => Self::Refused,
        }
    }
}

/// No connection could be made, so nothing was sent.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{cause}")]
pub struct Unreached {
    /// Of which kind.
    pub fault: FaultKind,
    /// In the words of whoever noticed it.
    pub cause: String,
}

impl Unreached {
    #[allow(clippy::needless_pass_by_value, reason = "what is passed is made in place")]
    pub(super) fn new(fault: FaultKind, cause: impl ToString) -> Self {
        Self { fault, cause: cause.to_string() }
    }
}
