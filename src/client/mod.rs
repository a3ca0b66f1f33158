//! A client of the edge API: it signs commands, speaks each of the protocols, and takes an answer only
//! after the gateway's signature has held.
//!
//! Everything that comes back is treated as hostile: it is read up to a limit, within a deadline, and
//! parsed without trusting a length.

mod device;
mod device_file;
mod dialect;
mod frame;
mod published;
mod refused;
mod transport;
mod trust;
mod verify;

pub use device::{Command, Device, GatewayKeys, unix_ms};
pub use device_file::{DeviceFile, DeviceFileFault, parse_public_key};
pub use dialect::{Answer, Codec, Dialect, HttpVersion, Protocol};
pub use published::KeysUrl;
pub use refused::{RateLimit, Refused};
pub use transport::{Client, Endpoint, EndpointFault, Reply};
pub use trust::{Trust, TrustFault};
pub use verify::Unverified;

use std::time::Duration;

/// Why a call gave no answer.
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
}
