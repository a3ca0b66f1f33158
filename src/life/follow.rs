//! Takes up what the configuration's file holds, whoever asks for it.

use super::{
    Departure, History, Invocation, ReloadProblem, Running, Signals,
    signals::Told,
    supervisor::{self, State},
    watch::Watch,
};
use crate::{
    config::{self, Env, Loaded, Position, Problem, Severity},
    plan::aside::aside,
    vitals::{Foreseen, Order, ReloadOutcome, Terms, Upgrade},
};
use std::path::PathBuf;
use tokio::{sync::oneshot, task::block_in_place};

/// What a gateway was started from.
pub struct ConfigFile<'a> {
    /// Where it is.
    pub path: PathBuf,
    /// The process environment.
    pub env: &'a Env<'a>,
    /// How another process is started in the place of this one; none where this one is more than a gateway.
    pub invocation: Option<Invocation>,
}

/// Under which name the log has what came of reloads.
pub const FOLLOWER: &str = concat!(module_path!(), "::outcome");

/// As many as the log takes of one kind at once.
const PROBLEMS_TOLD_MAX: usize = 5;

/// By whom a reload is done where nobody has asked.
const OF_ITSELF: &str = "a change of its files";

/// What is to be done, and who is told what came of it.
enum Wanted {
    Reload(&'static str, Terms, Option<oneshot::Sender<ReloadOutcome>>),
    Foresee(oneshot::Sender<Result<Foreseen, ReloadOutcome>>),
    Upgrade(Option<oneshot::Sender<Upgrade>>),
}

impl From<Order> for Wanted {
    fn from(asked: Order) -> Self {
        match asked {
            Order::Reload(terms, answer) => Self::Reload("the admin listener", terms, Some(answer)),
            Order::Foresee(answer) => Self::Foresee(answer),
        }
    }
}

impl Running {
    /// Takes up what the file holds whenever somebody asks, by SIGHUP or on the admin listener, and, where
    /// `reload.watch` says so, when it or a file that it names has changed. Has another process take the place of this
    /// one when that is asked for. Returns when this one is to leave.
    pub(super) async fn follow(&self, file: &ConfigFile<'_>, signals: &mut Signals) -> Departure {
        let (Some(mut reloads), Some(mut upgrades)) = (self.reloads.open(), self.upgrades.open()) else {
            return Departure::Stop;
        };
        self.reloads.follows(&file.path);
        self.remember(file);
        let mut watch = Watch::new(self.files(file));
        loop {
            let is_watched = self.plan.load().loaded.config.reload.watch;
            let wanted = tokio::select! {
                told = signals.next() => match told {
                    Told::Stop => return Departure::Stop,
                    Told::Reload => Wanted::Reload("SIGHUP", Terms::default(), None),
                    Told::Upgrade => Wanted::Upgrade(None),
                },
                Some(asked) = reloads.recv() => asked.into(),
                Some(asked) = upgrades.recv() => Wanted::Upgrade(Some(asked)),
                () = watch.changed(), if is_watched => Wanted::Reload(OF_ITSELF, Terms::default(), None),
            };
            // Whoever asked may have gone.
            let departure = match wanted {
                Wanted::Upgrade(asked) => self.upgrade(file, asked, signals, &mut reloads, &mut upgrades).await,
                Wanted::Foresee(answer) => {
                    drop(answer.send(self.foresee_file(file)));
                    None
                }
                Wanted::Reload(by, terms, answer) => {
                    let outcome = self.take_up_unless_stopped(file, terms, by, signals).await;
                    if matches!(outcome, Some(ReloadOutcome::Reloaded { .. })) {
                        watch.follow(self.files(file));
                        self.remember(file);
                    }
                    let departure = outcome.is_none().then_some(Departure::Stop);
                    let outcome = outcome.unwrap_or_else(|| self.refused("the gateway stops".to_owned(), None));
                    drop(answer.map(|answer| answer.send(outcome)));
                    departure
                }
            };
            if let Some(departure) = departure {
                return departure;
            }
        }
    }

    /// None where the process is to stop, which waits for no store that a reload waits for: nothing has changed.
    async fn take_up_unless_stopped(
        &self,
        file: &ConfigFile<'_>,
        terms: Terms,
        by: &str,
        signals: &mut Signals,
    ) -> Option<ReloadOutcome> {
        // It would take the first look at the files, right after the start, for news.
        let tell = |state| (by != OF_ITSELF).then(|| supervisor::tell(&[state]));
        tell(State::Reloading);
        let outcome = tokio::select! {
            outcome = self.take_up(file, terms, by) => Some(outcome),
            () = signals.stop() => None,
        };
        if outcome.is_some() {
            tell(State::Ready);
        }
        outcome
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
    fn foresee_file(&self, file: &ConfigFile<'_>) -> Result<Foreseen, ReloadOutcome> {
        load(file).and_then(|loaded| self.foresee(loaded, file.env)).map_err(|problem| self.refused_for(problem))
    }

    fn refused_for(&self, problem: ReloadProblem) -> ReloadOutcome {
        let why = problem.to_string();
        match problem {
            ReloadProblem::Streams(foreseen) => self.refused(why, Some(foreseen)),
            _ => self.refused(why, None),
        }
    }

    fn refused(&self, why: String, foreseen: Option<Box<Foreseen>>) -> ReloadOutcome {
        ReloadOutcome::Refused { revision: self.plan.load().revision.to_string(), why, foreseen }
    }

    async fn take_up(&self, file: &ConfigFile<'_>, terms: Terms, by: &str) -> ReloadOutcome {
        let in_force = || self.plan.load().revision.to_string();
        let before = in_force();
        if terms.if_match.is_some_and(|revisions| !revisions.contains(&before)) {
            return ReloadOutcome::Outdated { revision: before };
        }
        let reloaded = match load(file) {
            Ok(loaded) => self.reload(loaded, file.env, terms.is_forced).await,
            Err(problem) => Err(problem),
        };
        let revision = in_force();
        let outcome = match reloaded {
            Ok(()) if revision == before => ReloadOutcome::Unchanged { revision },
            Ok(()) => ReloadOutcome::Reloaded { revision },
            Err(problem) => {
                self.renew_certificates();
                tell_refused(&problem, by);
                self.refused_for(problem)
            }
        };
        match &outcome {
            ReloadOutcome::Refused { .. } => {}
            ReloadOutcome::Reloaded { revision } => {
                tracing::info!(target: FOLLOWER, by, revision, "another configuration is in force");
                self.plan.load().loaded.log_warnings();
            }
            ReloadOutcome::Unchanged { .. } | ReloadOutcome::Outdated { .. } => {
                tracing::debug!(target: FOLLOWER, by, ?outcome, "nothing is reloaded");
            }
        }
        self.metrics.reloads(outcome.word());
        let is_mended = matches!(self.reloads.last(), Some(ReloadOutcome::Refused { .. }));
        let has_done = matches!(outcome, ReloadOutcome::Reloaded { .. } | ReloadOutcome::Refused { .. });
        if has_done || (is_mended && matches!(outcome, ReloadOutcome::Unchanged { .. })) {
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
}

/// Says in the log why a configuration is not taken up: of problems in the file a line each, the first few of them.
fn tell_refused(problem: &ReloadProblem, by: &str) {
    let ReloadProblem::Config(report) = problem else {
        tracing::error!(target: FOLLOWER, by, %problem, "the configuration is not taken up");
        return;
    };
    let errors: Vec<_> = report.problems().iter().filter(|problem| problem.severity == Severity::Error).collect();
    let (file, problems) = (report.file(), errors.len() + report.left_out());
    for Problem { at, what: problem, remedy, path, .. } in errors.into_iter().take(PROBLEMS_TOLD_MAX) {
        let Position { line, column, .. } = at;
        tracing::error!(
            target: FOLLOWER, by, file, line, column, path, problem, remedy, problems,
            "the configuration is not taken up"
        );
    }
}

/// What the file holds now.
fn load(file: &ConfigFile<'_>) -> Result<Loaded, ReloadProblem> {
    aside(|| config::load(&file.path, file.env))?.map_err(ReloadProblem::Config)
}
