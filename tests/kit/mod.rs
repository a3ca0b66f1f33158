//! The harness: a real gateway process from YAML, a scriptable backend, raw sockets, a signing device.
//!
//! Everything waits for a condition with a deadline; nothing sleeps for a time and hopes.

pub mod authority;
pub mod backend;
pub mod device;
pub mod events;
pub mod fault_proxy;
pub mod figures;
pub mod frames;
pub mod gateway;
pub mod grpc;
pub mod push;
pub mod raw;
pub mod redis;
pub mod resp;
pub mod rpc;
pub mod scripted;
pub mod websocket;

use std::time::{Duration, Instant};

/// How long a test waits for what must come. Long, because the machine may be busy; nothing waits so long
/// unless it fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `condition` gives something.
pub fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < give_up, "{what} did not happen in {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The same among tasks: the runtime goes on meanwhile.
pub async fn soon<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < give_up, "{what} did not happen in {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
