//! How a stream of the backend's ended.

use std::{error::Error as _, io};
use tonic::{Code, Status};

/// What a backend says is shown in logs and on `/readyz`, and may be as long as a message.
const SHOWN_CHARS_MAX: usize = 200;

/// The beginning of what a backend says, in one line.
pub(super) fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(SHOWN_CHARS_MAX).collect()
}

/// How a stream of the backend's ended, or why there was none.
#[derive(Debug)]
pub(super) struct End {
    /// The backend ended it, or refused it. Otherwise the connection broke.
    pub(super) is_by_backend: bool,
    pub(super) code: Code,
    pub(super) why: String,
}

impl End {
    /// With a status: the backend's own, or one that stands for what happened to the connection.
    pub(super) fn with(status: &Status) -> Self {
        let why = format!("{:?}: {}", status.code(), shown(status.message()));
        // tonic 0.14: a status from trailers has no source, one that is made of a broken connection has.
        Self { is_by_backend: status.source().is_none(), code: status.code(), why }
    }

    /// The backend has said everything that it had to say.
    pub(super) fn regular() -> Self {
        Self { is_by_backend: true, code: Code::Ok, why: "the backend has ended the stream".to_owned() }
    }

    pub(super) fn not_connected(error: &tonic::transport::Error) -> Self {
        let mut cause: &dyn std::error::Error = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        let kind = cause.downcast_ref().map(|error: &io::Error| error.kind());
        let why = match kind {
            Some(io::ErrorKind::TimedOut) => "it cannot be connected to in time".to_owned(),
            _ => format!("it cannot be connected to: {cause}"),
        };
        Self { is_by_backend: false, code: Code::Unavailable, why }
    }
}
