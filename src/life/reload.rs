//! A running gateway takes up another configuration.

use super::{
    Invocation, Outcome, Parting, Running, Signals, Upgrade,
    drain::SHARE_OF_STREAMS,
    events::{self, Cursors},
    fixed,
    reloads::Asked,
    signals::Told,
    start::connect,
    supervisor::{self, State},
    watch::Watch,
};
use crate::{
    config::{self, Env, Loaded, Report},
    events::{Events, Sources},
    listener::TlsProblem,
    plan::{self, BuildProblem, Outside},
};
use futures_util::future::join_all;
use std::{path::PathBuf, sync::Arc};
use tokio::{sync::oneshot, task::block_in_place};

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
    #[error("a running process cannot change {}: start anew for that", .0.join(", "))]
    Fixed(Vec<String>),
    /// A certificate cannot be used.
    #[error("listener `{listener}`: {problem}")]
    Tls {
        /// The listener.
        listener: String,
        /// What is wrong.
        problem: TlsProblem,
    },
}

/// What a gateway was started from.
pub struct ConfigFile<'a> {
    /// Where it is.
    pub path: PathBuf,
    /// The process environment.
    pub env: &'a Env<'a>,
    /// How another process is started in the place of this one.
    pub invocation: Invocation,
}

/// By whom a reload is done where nobody has asked.
const OF_ITSELF: &str = "a change of its files";

/// What is to be done, and who is told what came of it.
enum Wanted {
    Reload(&'static str, Option<Asked>),
    Upgrade(Option<oneshot::Sender<Upgrade>>),
}

impl Running {
    /// Takes up what the file holds whenever somebody asks, by SIGHUP or on the admin listener, and, where
    /// `reload.watch` says so, when it or a file that it names has changed. Has another process take the place of this
    /// one when that is asked for. Returns when this one is to leave.
    pub(super) async fn follow(&self, file: &ConfigFile<'_>, signals: &mut Signals) -> Parting {
        let mut reloads = self.reloads.open();
        let mut upgrades = self.upgrades.open();
        let mut watch = Watch::new(self.files(file));
        loop {
            let is_watched = self.plan.load().loaded.config.reload.watch;
            let wanted = tokio::select! {
                told = signals.next() => match told {
                    Told::Stop => return Parting::Stop,
                    Told::Reload => Wanted::Reload("SIGHUP", None),
                    Told::Upgrade => Wanted::Upgrade(None),
                },
                Some(asked) = reloads.recv() => Wanted::Reload("the admin listener", Some(asked)),
                Some(asked) = upgrades.recv() => Wanted::Upgrade(Some(asked)),
                () = watch.changed(), if is_watched => Wanted::Reload(OF_ITSELF, None),
            };
            let (by, asked) = match wanted {
                Wanted::Reload(by, asked) => (by, asked),
                Wanted::Upgrade(asked) => match self.upgrade(file, asked, signals, &mut reloads, &mut upgrades).await {
                    Some(parting) => return parting,
                    None => continue,
                },
            };
            let if_match = asked.as_ref().and_then(|asked| asked.if_match.clone());
            // It would take the first look at the files, right after the start, for news.
            let tell = |state| (by != OF_ITSELF).then(|| supervisor::tell(&[state]));
            tell(State::Reloading);
            let outcome = tokio::select! {
                outcome = self.take_up(file, if_match, by) => outcome,
                () = signals.stop() => return Parting::Stop,
            };
            tell(State::Ready);
            if matches!(outcome, Outcome::Reloaded { .. }) {
                watch.follow(self.files(file));
            }
            // Whoever asked may have gone.
            asked.map(|asked| asked.answer.send(outcome));
        }
    }

    fn files(&self, file: &ConfigFile<'_>) -> Vec<PathBuf> {
        let plan = self.plan.load();
        let named = plan.loaded.files().into_iter().map(|path| plan.loaded.resolve(&path));
        std::iter::once(file.path.clone()).chain(named).collect()
    }

    async fn take_up(&self, file: &ConfigFile<'_>, if_match: Option<String>, by: &str) -> Outcome {
        let in_force = || self.plan.load().revision.to_string();
        let before = in_force();
        if if_match.is_some_and(|revision| revision != before) {
            return Outcome::Outdated { revision: before };
        }
        let loaded = block_in_place(|| config::load(&file.path, file.env)).map_err(ReloadProblem::Config);
        let reloaded = match loaded {
            Ok(loaded) => self.reload(loaded, file.env).await,
            Err(problem) => Err(problem),
        };
        let revision = in_force();
        let outcome = match reloaded {
            Ok(()) if revision == before => Outcome::Unchanged { revision },
            Ok(()) => Outcome::Reloaded { revision },
            Err(problem) => Outcome::Refused { revision, why: problem.to_string() },
        };
        match &outcome {
            Outcome::Refused { why, .. } => tracing::error!(by, "the configuration is not taken up: {why}"),
            Outcome::Reloaded { revision } => tracing::info!(by, revision, "another configuration is in force"),
            Outcome::Unchanged { .. } | Outcome::Outdated { .. } => {
                tracing::debug!(by, ?outcome, "nothing is reloaded");
            }
        }
        self.metrics.reloads(&outcome);
        if matches!(outcome, Outcome::Reloaded { .. } | Outcome::Refused { .. }) {
            self.reloads.ended(outcome.clone());
        }
        outcome
    }

    /// Takes up another configuration, as a whole or not at all. Requests in flight end on the plan that they began
    /// with, streams of events live on where their source is the same, and so does the state of every part that is:
    /// connections, what callers have spent, ids, cached sessions, counts. Event streams whose source is gone or
    /// another are ended as for a stop, so that their devices come back to what is there now.
    ///
    /// Dropped while it waits for a store, nothing has changed.
    ///
    /// # Errors
    /// Where the configuration cannot be taken up.
    ///
    /// # Panics
    /// On a runtime that has one thread only.
    pub async fn reload(&self, loaded: Loaded, env: &Env<'_>) -> Result<(), ReloadProblem> {
        let _one_at_a_time = self.reloading.lock().await;
        let before = self.plan.load_full();
        let changed = fixed::changed(&before.loaded.config, &loaded.config);
        if !changed.is_empty() {
            return Err(ReloadProblem::Fixed(changed));
        }
        let certificates = self.certificates(&loaded)?;
        let outside =
            Outside { clock: Arc::clone(&self.clock), metrics: &self.metrics, invalidations: &self.invalidations, env };
        // Ten thousand routes take their time, and requests are not to wait for it.
        let plan = Arc::new(block_in_place(|| plan::build(loaded, &outside, Some(&before)))?);
        if plan.revision == before.revision {
            return Ok(());
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
        self.plan.store(plan);
        for (tls, new) in certificates {
            tls.replace(&new);
        }
        self.retire(others(&running, &sources));
        Ok(())
    }

    /// Ends the sources that only the plan before had.
    fn retire(&self, sources: Vec<Arc<Events>>) {
        let window = self.plan.load().loaded.config.drain.deadline.get() / SHARE_OF_STREAMS;
        sources.iter().for_each(|events| events.stop_feed());
        tokio::spawn(async move {
            join_all(sources.iter().map(|events| events.hub.shut_down(window))).await;
        });
    }
}

/// Those that run and are not taken over.
fn others(running: &Sources, taken: &Sources) -> Vec<Arc<Events>> {
    let is_taken = |events: &Arc<Events>| taken.values().any(|taken| Arc::ptr_eq(taken, events));
    running.values().filter(|events| !is_taken(events)).cloned().collect()
}
