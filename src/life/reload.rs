//! A running gateway takes up another configuration, or says what that would do.

use super::{
    Running,
    events::{self, Cursors},
    start::connect,
};
use crate::{
    config::{Env, Loaded, Report},
    events::{Events, Sources},
    listener::TlsProblem,
    plan::{self, BuildProblem, Outside, Plan, aside::aside, changes},
    telemetry::{metrics::Metrics, timestamp::Timestamp},
    vitals::{Foreseen, window},
};
use filters::session::Invalidations;
use std::{io, sync::Arc};
use tokio::task::block_in_place;

/// Why a configuration was not taken up. Everything is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum ReloadProblem {
    /// It has problems.
    #[error("{0}")]
    Config(Report),
    /// It gives no plan.
    #[error(transparent)]
    Build(#[from] BuildProblem),
    /// It differs in what is fixed while the process runs.
    #[error("a running process cannot change {}: that needs an upgrade, `portcullis upgrade`", .0.join(", "))]
    Fixed(Vec<String>),
    /// It would end more streams than it may.
    #[error("{}", .0.too_many())]
    Streams(Box<Foreseen>),
    /// No thread could be started that makes a plan of it.
    #[error("no thread: {0}")]
    Thread(#[from] io::Error),
    /// Two metrics have one name.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// A certificate cannot be used.
    #[error("listener `{listener}`: {problem}")]
    Tls {
        /// The listener.
        listener: String,
        /// What is wrong.
        problem: TlsProblem,
    },
}

impl Running {
    /// What a reload would do. Nothing is changed by it.
    ///
    /// # Errors
    /// Where the configuration cannot be used.
    ///
    /// # Panics
    /// On a runtime that has one thread only.
    pub fn foresee(&self, loaded: Loaded, env: &Env<'_>) -> Result<Foreseen, ReloadProblem> {
        self.certificates(&loaded)?;
        let before = self.plan.load_full();
        // What it would count is nobody's to see.
        let metrics = Metrics::new()?;
        let invalidations = Arc::new(Invalidations::new(Arc::clone(&self.clock)));
        let outside = Outside { clock: Arc::clone(&self.clock), metrics: &metrics, invalidations: &invalidations, env };
        let after = aside(|| plan::build(loaded, &outside, Some(&before)))??;
        Ok(self.foresee_streams(&before, &after)?)
    }

    /// Streams are looked at by a thread that serves: it holds what others wait for, and must not give way to them.
    fn foresee_streams(&self, before: &Plan, after: &Plan) -> io::Result<Foreseen> {
        let census = block_in_place(|| self.streams.census(after));
        aside(|| Foreseen::of(before, after, census))
    }

    /// Takes up another configuration, as a whole or not at all. Requests in flight end on the plan that they began
    /// with, streams live on where their route is the same, and so does the state of every part that is: connections,
    /// what callers have spent, ids, cached sessions, counts. What becomes of the other streams is the new
    /// configuration's to say (`reload.streams`); one that would end too many is refused, unless it `is_forced`.
    ///
    /// Dropped while it waits for a store, nothing has changed.
    ///
    /// # Errors
    /// Where the configuration cannot be taken up.
    ///
    /// # Panics
    /// On a runtime that has one thread only.
    pub async fn reload(&self, loaded: Loaded, env: &Env<'_>, is_forced: bool) -> Result<(), ReloadProblem> {
        let _one_at_a_time = self.reloading.lock().await;
        let before = self.plan.load_full();
        let changed = changes::fixed(&before.loaded.config, &loaded.config);
        if !changed.is_empty() {
            return Err(ReloadProblem::Fixed(changed));
        }
        let outside =
            Outside { clock: Arc::clone(&self.clock), metrics: &self.metrics, invalidations: &self.invalidations, env };
        // Ten thousand routes take their time, and requests are not to wait for it.
        let plan = Arc::new(aside(|| plan::build(loaded, &outside, Some(&before)))??);
        if plan.revision == before.revision {
            return Ok(());
        }
        // Behind the plan, which has looked at their files by now, for the same reason that it looks at files first.
        let certificates = self.certificates(&plan.loaded)?;
        if !is_forced && plan.loaded.config.reload.max_streams_cut.is_some() {
            let foreseen = self.foresee_streams(&before, &plan)?;
            if foreseen.ends_too_many() {
                return Err(ReloadProblem::Streams(Box::new(foreseen)));
            }
        }
        connect(&plan).await;

        let running = self.events.load_full();
        let begins = Cursors::none();
        let sources = events::take_over(&running, &plan, &begins, &self.clock, &self.invalidations, &self.metrics);
        for (name, source) in &plan.events {
            if let Some(events) = sources.get(name) {
                events.hub.sign_with(Arc::clone(&source.signer));
            }
        }
        let sources = Arc::new(sources);
        self.events.store(Arc::clone(&sources));
        self.plan.store(Arc::clone(&plan));
        tell_ended_changes(&before, &plan);
        for (tls, new) in certificates {
            tls.replace(&new);
        }
        self.settle(&plan, others(&running, &sources));
        Ok(())
    }

    /// Ends the sources that only the plan before had, and the streams that have no place in this one.
    fn settle(&self, plan: &Plan, sources: Vec<Arc<Events>>) {
        for events in &sources {
            events.stop_feed();
            events.hub.take_no_more();
        }
        let settled = block_in_place(|| self.streams.settle(plan));
        let window = window(plan);
        tokio::spawn(async move {
            settled.carry_out(window).await;
            // Their heartbeats went on until here.
            drop(sources);
        });
    }
}

/// A budget that is written in another way is as it is written.
fn tell_ended_changes(before: &Plan, after: &Plan) {
    for (name, budget) in &before.budgets {
        let goes_on = after.budgets.get(name).is_some_and(|after| Arc::ptr_eq(after, budget));
        if !goes_on && let Some(changed) = budget.changed() {
            let (budget, by, since) = (name, &changed.by, Timestamp(changed.since_ms));
            tracing::warn!(budget, by, %since, "a budget's change is over: its configuration is another");
        }
    }
}

/// Those that run and are not taken over.
fn others(running: &Sources, taken: &Sources) -> Vec<Arc<Events>> {
    let is_taken = |events: &Arc<Events>| taken.values().any(|taken| Arc::ptr_eq(taken, events));
    running.values().filter(|events| !is_taken(events)).cloned().collect()
}
