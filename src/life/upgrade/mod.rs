//! Another process takes the place of this one: a new binary, or a configuration that a running process cannot take up.
//!
//! It is started from the file that is there now, gets the listening sockets, and prepares everything. Only then both
//! accept for a moment, so that there is none in which nobody does: connections that no process has accepted wait in
//! queues that belong to the sockets and not to either. Until it accepts, whatever goes wrong with it leaves the old
//! process as it was.

mod invocation;
mod link;
mod predecessor;
mod successor;

pub use invocation::Invocation;
pub use predecessor::{Inherited, Predecessor};
pub use successor::UpgradeProblem;

use super::{
    ConfigFile, Departure, Running, Signals, millis_since,
    signals::Told,
    supervisor::{self, State},
};
use crate::vitals::{Order, Upgrade};
use futures_util::future::join_all;
use std::{collections::BTreeMap, pin::pin, time::Instant};
use successor::Successor;
use tokio::sync::{mpsc::Receiver, oneshot};

const UNDER_WAY: &str = "an upgrade is under way";

impl Running {
    /// Has another process take this one's place, which then has to leave. None where it did not, and everything is as
    /// it was. Whoever asks for something else meanwhile is told so.
    pub(super) async fn upgrade(
        &self,
        file: &ConfigFile<'_>,
        asked: Option<oneshot::Sender<Upgrade>>,
        signals: &mut Signals,
        reloads: &mut Receiver<Order>,
        upgrades: &mut Receiver<oneshot::Sender<Upgrade>>,
    ) -> Option<Departure> {
        let began = Instant::now();
        tracing::info!("an upgrade begins: the new process is started");
        supervisor::tell(&[State::Reloading, State::Status("starting the new process")]);
        let mut prepared = pin!(self.prepare(file.invocation.as_ref()));
        let prepared = loop {
            tokio::select! {
                prepared = &mut prepared => break prepared,
                told = signals.next() => match told {
                    Told::Stop => break Err(UpgradeProblem::Stopped),
                    Told::Reload | Told::Upgrade => tracing::warn!(?told, "ignored: {UNDER_WAY}"),
                },
                Some(asked) = reloads.recv() => asked.refuse(self.plan.load().revision.to_string(), UNDER_WAY),
                Some(asked) = upgrades.recv() => drop(asked.send(Upgrade::Refused { why: UNDER_WAY.to_owned() })),
            }
        };
        // From here on it is a matter of moments, and whoever stops one of the two does not mean the other.
        let outcome = match prepared {
            Ok((successor, pid)) => self.hand_over(successor, pid).await,
            Err(problem) => Err(problem),
        };
        let departure = match &outcome {
            Ok(pid) => {
                let took_ms = millis_since(began);
                tracing::info!(successor = pid, took_ms, "another process serves from here on");
                Some(Departure::Upgrade)
            }
            Err(UpgradeProblem::Stopped) => Some(Departure::Stop),
            Err(problem) => {
                let (problem, took_ms) = (problem.to_string(), millis_since(began));
                // What follows the first line shows the place in the file, which the new process has shown.
                let problem = problem.lines().next().unwrap_or_default();
                tracing::error!(problem, took_ms, "this process serves on");
                self.metrics.upgrades_failed.inc();
                supervisor::tell(&[State::Ready, State::Status("the upgrade failed: the old process serves on")]);
                None
            }
        };
        let outcome = match outcome {
            Ok(pid) => Upgrade::Upgraded { pid },
            Err(problem) => Upgrade::Refused { why: problem.to_string() },
        };
        // Whoever asked may have gone.
        asked.map(|asked| asked.send(outcome));
        departure
    }

    async fn prepare(&self, invocation: Option<&Invocation>) -> Result<(Successor, u32), UpgradeProblem> {
        let invocation = invocation.ok_or(UpgradeProblem::Embedded)?;
        if std::process::id() == 1 {
            return Err(UpgradeProblem::First);
        }
        let deadline = self.plan.load().loaded.config.upgrade.deadline.get();
        let mut successor = Successor::start(invocation, &self.sockets()?).await?;
        match successor.ready(deadline).await {
            Ok(pid) => Ok((successor, pid)),
            Err(problem) => Err(successor.failed(problem).await),
        }
    }

    async fn hand_over(&self, mut successor: Successor, pid: u32) -> Result<u32, UpgradeProblem> {
        if let Err(problem) = successor.serve().await {
            return Err(successor.failed(problem).await);
        }
        // While this is the process that is supervised, and may say so.
        supervisor::tell(&[State::MainPid(pid), State::Ready, State::Status(supervisor::SERVING)]);
        successor.release(self.release_feeds().await).await;
        Ok(pid)
    }

    /// Ends the feeds: two with one `gateway_client_id` would end each other. Answers with where each was.
    async fn release_feeds(&self) -> BTreeMap<String, String> {
        let sources = self.events.load_full();
        let ended = sources.iter().map(async |(name, events)| Some((name.clone(), events.end_feed().await?)));
        join_all(ended).await.into_iter().flatten().collect()
    }
}
