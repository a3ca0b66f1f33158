//! A client of the edge API: it signs commands and subscriptions, speaks each of the protocols, and takes an answer or
//! an event only after the gateway's signature has held.
//!
//! Everything that comes back is treated as hostile: it is read up to a limit, within a deadline, and
//! parsed without trusting a length.

mod device;
mod device_file;
mod dialect;
mod frame;
mod published;
mod refused;
mod stream;
mod transport;
mod trust;
mod verify;

pub use device::{Command, Device, GatewayKeys, unix_ms};
pub use device_file::{DeviceFile, DeviceFileFault, parse_public_key};
pub use dialect::{Answer, Codec, Dialect, HttpVersion, Protocol};
pub use published::KeysUrl;
pub use refused::{RateLimit, Refused};
pub use stream::Subscription;
pub use transport::{Client, Endpoint, EndpointFault, Reply};
pub use trust::{Trust, TrustFault};
pub use verify::Unverified;

use std::time::Duration;

/// Why a call gave no answer, or a stream ended.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// The gateway refused it, in the protocol that it was called in.
    #[error("refused: {0}")]
    Refused(Box<Refused>),
    /// The whole call took longer than it may.
    #[error("no answer within {0:?}")]
    Deadline(Duration),
    /// No connection, or one that broke.
    #[error("no connection to the gateway: {0}")]
    Unreachable(String),
    /// What came back is no answer of this protocol.
    #[error("the answer makes no sense: {0}")]
    Malformed(String),
    /// A stream brought nothing, not even a heartbeat.
    #[error("nothing came on the stream within {0:?}, not even a heartbeat")]
    Silence(Duration),
    /// An event is not to be believed.
    #[error(transparent)]
    Unverified(#[from] Unverified),
    /// No request can be named.
    #[error("the operating system gives no randomness: {0}")]
    Randomness(#[from] getrandom::Error),
}
