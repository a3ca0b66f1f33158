//! What the operating system tells the process.

use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that a gateway acts upon. From here on none of them ends the process by itself.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Listens for them, on the current runtime.
    ///
    /// # Errors
    /// Where the system does not allow it.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Until the process is to stop: SIGTERM or SIGINT. A SIGHUP is only logged: a terminal that was closed, or
    /// a habit of reloading so, must not end what others depend on.
    pub async fn stop(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => tracing::info!("SIGHUP is ignored: restart to load another configuration"),
            }
        }
    }
}
