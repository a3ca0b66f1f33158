//! A running gateway takes up another configuration.

use super::{
    Foreseen, History, Invocation, Outcome, Parting, Running, Signals, Terms, Upgrade,
    events::{self, Cursors},
    foreseen::window,
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
    plan::{self, BuildProblem, Outside, Plan, aside::aside, changes},
    telemetry::metrics::Metrics,
};
use filters::session::Invalidations;
use std::{io, path::PathBuf, sync::Arc};
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
        let (Some(mut reloads), Some(mut upgrades)) = (self.reloads.open(), self.upgrades.open()) else {
            return Parting::Stop;
        };
        self.remember(file);
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
            // Whoever asked may have gone.
            let (terms, answer) = match asked {
                Some(Asked::Foresee(answer)) => {
                    drop(answer.send(self.foresee_file(file)));
                    continue;
                }
                Some(Asked::Reload(terms, answer)) => (terms, Some(answer)),
                None => (Terms::default(), None),
            };
            // It would take the first look at the files, right after the start, for news.
            let tell = |state| (by != OF_ITSELF).then(|| supervisor::tell(&[state]));
            tell(State::Reloading);
            let outcome = tokio::select! {
                outcome = self.take_up(file, terms, by) => outcome,
                () = signals.stop() => return Parting::Stop,
            };
            tell(State::Ready);
            if matches!(outcome, Outcome::Reloaded { .. }) {
                watch.follow(self.files(file));
                self.remember(file);
            }
            answer.map(|answer| answer.send(outcome));
        }
    }

    fn files(&self, file: &ConfigFile<'_>) -> Vec<PathBuf> {
        let plan = self.plan.load();
        let named = plan.loaded.files().into_iter().map(|path| plan.loaded.resolve(&path));
        std::iter::once(file.path.clone()).chain(named).collect()
    }

    /// Keeps what is in force for whoever wants it back. A gateway does not need it, and may have nowhere to write.
    fn remember(&self, file: &ConfigFile<'_>) {
        let plan = self.plan.load();
        let keep = plan.loaded.config.reload.history;
        if keep == 0 {
            return;
        }
        let now_ms = self.clock.unix_ms();
        let kept = block_in_place(|| {
            let places = History::places(&file.path, file.env)?;
            let record =
                |history: &History| history.record(now_ms, &plan.revision.to_string(), &plan.loaded.text, keep);
            places.first().map_or(Ok(()), record)
        });
        if let Err(error) = kept {
            tracing::warn!(%error, "this configuration is not kept for a rollback");
        }
    }

    /// What a reload would do now, or why it would not come to that.
    fn foresee_file(&self, file: &ConfigFile<'_>) -> Result<Foreseen, Outcome> {
        let loaded = load(file);
        loaded.and_then(|loaded| self.foresee(loaded, file.env)).map_err(|problem| self.refused(&problem))
    }

    fn refused(&self, problem: &ReloadProblem) -> Outcome {
        let foreseen = match problem {
            ReloadProblem::Streams(foreseen) => Some(foreseen.clone()),
            _ => None,
        };
        Outcome::Refused { revision: self.plan.load().revision.to_string(), why: problem.to_string(), foreseen }
    }

    async fn take_up(&self, file: &ConfigFile<'_>, terms: Terms, by: &str) -> Outcome {
        let in_force = || self.plan.load().revision.to_string();
        let before = in_force();
        if terms.if_match.is_some_and(|revision| revision != before) {
            return Outcome::Outdated { revision: before };
        }
        let reloaded = match load(file) {
            Ok(loaded) => self.reload(loaded, file.env, terms.is_forced).await,
            Err(problem) => Err(problem),
        };
        let revision = in_force();
        let outcome = match reloaded {
            Ok(()) if revision == before => Outcome::Unchanged { revision },
            Ok(()) => Outcome::Reloaded { revision },
            Err(problem) => {
                self.renew_certificates();
                self.refused(&problem)
            }
        };
        match &outcome {
            Outcome::Refused { why, .. } => tracing::error!(by, "the configuration is not taken up: {why}"),
            Outcome::Reloaded { revision } => tracing::info!(by, revision, "another configuration is in force"),
            Outcome::Unchanged { .. } | Outcome::Outdated { .. } => {
                tracing::debug!(by, ?outcome, "nothing is reloaded");
            }
        }
        self.metrics.reloads(&outcome);
        let is_mended = matches!(self.reloads.last(), Some(Outcome::Refused { .. }));
        let has_done = matches!(outcome, Outcome::Reloaded { .. } | Outcome::Refused { .. });
        if has_done || (is_mended && matches!(outcome, Outcome::Unchanged { .. })) {
            self.reloads.ended(outcome.clone());
        }
        outcome
    }

    /// Uses the certificates that are in their files now, for the configuration that is in force. One would run out
    /// while another configuration waits to be mended.
    fn renew_certificates(&self) {
        match block_in_place(|| self.certificates(&self.plan.load().loaded)) {
            Ok(certificates) => certificates.iter().for_each(|(tls, new)| tls.replace(new)),
            Err(problem) => tracing::error!("the certificates stay as they are: {problem}"),
        }
    }

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
        aside(|| {
            let after = plan::build(loaded, &outside, Some(&before))?;
            Ok(Foreseen::of(&before, &after, &self.streams))
        })?
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
        let certificates = self.certificates(&loaded)?;
        let outside =
            Outside { clock: Arc::clone(&self.clock), metrics: &self.metrics, invalidations: &self.invalidations, env };
        // Ten thousand routes take their time, and requests are not to wait for it.
        let plan = Arc::new(aside(|| plan::build(loaded, &outside, Some(&before)))??);
        if plan.revision == before.revision {
            return Ok(());
        }
        if !is_forced && plan.loaded.config.reload.max_streams_cut.is_some() {
            let foreseen = aside(|| Foreseen::of(&before, &plan, &self.streams))?;
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

/// What the file holds now.
fn load(file: &ConfigFile<'_>) -> Result<Loaded, ReloadProblem> {
    aside(|| config::load(&file.path, file.env))?.map_err(ReloadProblem::Config)
}

/// Those that run and are not taken over.
fn others(running: &Sources, taken: &Sources) -> Vec<Arc<Events>> {
    let is_taken = |events: &Arc<Events>| taken.values().any(|taken| Arc::ptr_eq(taken, events));
    running.values().filter(|events| !is_taken(events)).cloned().collect()
}
