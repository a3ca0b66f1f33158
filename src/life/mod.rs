//! The life of the process: start, ready, reload, upgrade, drain, end.

mod door;
mod drain;
mod events;
mod follow;
pub mod history;
mod listeners;
mod open_files;
mod prepare;
mod reload;
mod signals;
mod start;
mod supervisor;
mod upgrade;
mod watch;

pub use follow::{ConfigFile, FOLLOWER};
pub use history::History;
pub use reload::ReloadProblem;
pub use signals::Signals;
pub use start::{Running, StartProblem, start, start_after};
pub use upgrade::{Inherited, Invocation, Predecessor, UpgradeProblem};

use drain::{Drained, Open};
use signals::Told;
use std::time::{Duration, Instant};
use supervisor::State;

/// Why a gateway leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// It was told to.
    Stop,
    /// Another process has taken its place.
    Upgrade,
}

/// How a gateway has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// What it had begun is finished, or has used up its time.
    Drained,
    /// It was told once more, and has cut what was left.
    AtOnce,
}

/// Runs a gateway until it is told to stop or another process has taken its place, then drains it. Meanwhile it takes
/// up what `file` holds, where there is one, whenever it is told to or the file has changed.
pub async fn run_until_told(running: &Running, signals: &mut Signals, file: Option<&ConfigFile<'_>>) -> Left {
    let departure = until_told(running, signals, file).await;
    leave(running, signals, departure).await
}

/// The first half of [`run_until_told`]: says why the gateway is to leave. It serves on until it is made to.
pub async fn until_told(running: &Running, signals: &mut Signals, file: Option<&ConfigFile<'_>>) -> Departure {
    supervisor::tell(&[State::Ready, State::Status(supervisor::SERVING)]);
    let Some(file) = file else {
        // Nobody is to wait for what never comes.
        drop((running.reloads.open(), running.upgrades.open()));
        loop {
            match signals.next().await {
                Told::Stop => return Departure::Stop,
                told => tracing::info!(?told, "ignored: the configuration did not come from a file"),
            }
        }
    };
    running.follow(file, signals).await
}

/// The second half of [`run_until_told`]: drains the gateway, unless it is told to stop once more.
pub async fn leave(running: &Running, signals: &mut Signals, departure: Departure) -> Left {
    let (began, before) = (Instant::now(), running.open());
    let Open { connections, requests, streams } = before;
    tracing::info!(connections, requests, streams, "draining");
    let (left, drained) = match departure {
        Departure::Stop => {
            supervisor::tell(&[State::Stopping, State::Status("draining")]);
            // Whoever tells it again means now.
            tokio::select! {
                drained = running.drain() => (Left::Drained, drained),
                () = signals.stop() => (Left::AtOnce, Drained::InPart),
            }
        }
        Departure::Upgrade => {
            // A supervisor that stops the service tells all of its processes, and this one leaves already.
            let twice = async {
                signals.stop().await;
                signals.stop().await;
            };
            tokio::select! {
                drained = running.step_down() => (Left::Drained, drained),
                () = twice => (Left::AtOnce, Drained::InPart),
            }
        }
    };
    tell_end(running, drained, before, began);
    running.close(Duration::from_millis(500));
    left
}

/// Says what became of what was open.
fn tell_end(running: &Running, drained: Drained, before: Open, began: Instant) {
    let (took_ms, streams_before) = (millis_since(began), before.streams);
    if drained == Drained::Whole {
        tracing::info!(took_ms, streams_ended = streams_before, "drained");
        return;
    }
    let Open { connections, requests, streams } = running.open();
    let streams_ended = streams_before.saturating_sub(streams);
    tracing::warn!(
        took_ms,
        streams_ended,
        streams_cut = streams,
        connections_cut = connections,
        requests_cut = requests,
        "drained in part: what is left is cut"
    );
}

fn millis_since(then: Instant) -> u64 {
    u64::try_from(then.elapsed().as_millis()).unwrap_or(u64::MAX)
}
