//! What the operating system tells the process.

use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// SIGTERM or SIGINT.
    Stop,
    /// SIGHUP.
    Reload,
    /// SIGUSR2.
    Upgrade,
}

/// The signals that a gateway acts upon. From here on none of them ends the process by itself.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user2: Signal,
    /// What came while only a stop was waited for.
    missed: Option<Told>,
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
            user2: signal(SignalKind::user_defined2())?,
            missed: None,
        })
    }

    /// What comes next. Dropped while it waits, nothing is missed.
    pub(super) async fn next(&mut self) -> Told {
        match self.missed.take() {
            Some(missed) => missed,
            None => self.come().await,
        }
    }

    async fn come(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::Stop,
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.hangup.recv() => Told::Reload,
            _ = self.user2.recv() => Told::Upgrade,
        }
    }

    /// Until the process is to stop. What comes ahead of that is what comes next: a configuration may have been written
    /// after it was read.
    pub(super) async fn stop(&mut self) {
        loop {
            match self.come().await {
                Told::Stop => return,
                Told::Upgrade => self.missed = Some(Told::Upgrade),
                // The new process of an upgrade reads the configuration, too.
                Told::Reload => self.missed = self.missed.or(Some(Told::Reload)),
            }
        }
    }
}
