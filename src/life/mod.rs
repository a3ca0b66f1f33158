//! The life of the process: start, ready, reload, drain, end.

mod activity;
mod door;
mod events;
mod foreseen;
mod last_call;
mod readiness;
mod reload;
mod reloads;
mod signals;
mod start;
pub mod streams;
mod watch;

pub use activity::Activity;
pub use foreseen::Foreseen;
pub use last_call::LastCall;
pub use readiness::Readiness;
pub use reload::{ConfigFile, ReloadProblem};
pub use reloads::{Outcome, Reloads, Terms};
pub use signals::Signals;
pub use start::{Running, StartProblem, start};

use signals::Told;
use std::time::Duration;

/// Runs a gateway until it is told to stop, then drains it. Meanwhile it takes up what `file` holds, where there is
/// one, whenever it is told to or the file has changed.
pub async fn run_until_told(running: &Running, signals: &mut Signals, file: Option<&ConfigFile<'_>>) {
    match file {
        Some(file) => running.follow(file, signals).await,
        None => {
            while signals.next().await == Told::Reload {
                tracing::info!("SIGHUP is ignored: the configuration did not come from a file");
            }
        }
    }
    tracing::info!("draining");
    // A second signal means now.
    tokio::select! {
        () = running.drain() => {}
        () = signals.stop() => {}
    }
    running.close(Duration::from_millis(500));
}
