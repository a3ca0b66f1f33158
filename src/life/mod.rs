//! The life of the process: start, ready, drain, end.

mod activity;
mod door;
mod readiness;
mod start;

pub use activity::Activity;
pub use readiness::Readiness;
pub use start::{Running, StartProblem, start};

use std::{io, process::ExitCode, time::Duration};
use tokio::signal::unix::{SignalKind, signal};

/// Runs a gateway until SIGTERM or SIGINT, then drains it.
///
/// # Errors
/// Where signals cannot be listened to.
pub async fn run_until_signal(running: Running) -> io::Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("draining");
    // A second signal means now.
    tokio::select! {
        () = running.drain() => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    running.close(Duration::from_millis(500));
    Ok(ExitCode::SUCCESS)
}
