//! The life of the process: start, ready, drain, end.

mod activity;
mod door;
mod events;
mod last_call;
mod readiness;
mod signals;
mod start;

pub use activity::Activity;
pub use last_call::LastCall;
pub use readiness::Readiness;
pub use signals::Signals;
pub use start::{Running, StartProblem, start};

use std::time::Duration;

/// Runs a gateway until it is told to stop, then drains it.
pub async fn run_until_told(running: &Running, signals: &mut Signals) {
    signals.stop().await;
    tracing::info!("draining");
    // A second signal means now.
    tokio::select! {
        () = running.drain() => {}
        () = signals.stop() => {}
    }
    running.close(Duration::from_millis(500));
}
