//! What becomes of the gateway's configuration, as somebody changes its file.

use super::Narrator;
use crate::{
    life::Running,
    plan::{Plan, changes::Changes},
    vitals::ReloadOutcome,
};
use arc_swap::ArcSwap;
use std::sync::Arc;
use tokio::sync::watch;

const FILE: &str = "gateway.yaml, as it is written now";

/// What came of reloads, for whoever reads the story.
pub struct News {
    outcomes: watch::Receiver<Option<ReloadOutcome>>,
    in_force: Arc<ArcSwap<Plan>>,
    told: Arc<Plan>,
}

impl News {
    /// Of this gateway, from here on.
    #[must_use]
    pub fn of(running: &Running) -> Self {
        let in_force = Arc::clone(&running.plan);
        Self { outcomes: running.reloads.follow(), told: in_force.load_full(), in_force }
    }

    /// What came of the next one; none where the gateway is gone. Dropped while it waits, nothing is missed.
    pub(super) async fn next(&mut self) -> Option<ReloadOutcome> {
        self.outcomes.changed().await.ok()?;
        self.outcomes.borrow_and_update().clone()
    }

    /// Tells what came of it.
    pub(super) fn tell(&mut self, outcome: &ReloadOutcome, narrator: &mut Narrator) {
        match outcome {
            ReloadOutcome::Reloaded { .. } => {
                let now = self.in_force.load_full();
                let changes = Changes::between(&self.told.as_ref().into(), &now.as_ref().into());
                self.told = now;
                narrator.held(FILE, "in force");
                narrator.aside(&changes.to_string());
            }
            ReloadOutcome::Unchanged { .. } => narrator.held(FILE, "in force as before"),
            ReloadOutcome::Refused { why, .. } => {
                narrator.refused(FILE, "refused, and what was in force goes on");
                narrator.aside(why);
            }
            // Whoever says which revision must be in force is told alone.
            ReloadOutcome::Outdated { .. } => {}
        }
    }
}
