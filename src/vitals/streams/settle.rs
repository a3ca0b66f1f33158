//! A plan has come into force: each stream is moved to its route there, or is ended.

use super::{
    Exit, Open, Streams,
    judge::{AT_ONCE, Fate, Judge},
    recheck::Doubtful,
};
use crate::{
    events::hub::{EndReason, spread},
    plan::Plan,
};
use futures_util::future::join;
use std::{sync::Arc, time::Duration};

/// What is left to be done about streams.
#[derive(Default)]
pub struct Settled {
    ending: Vec<Exit>,
    doubtful: Vec<Doubtful>,
}

impl Streams {
    /// Holds every stream against the plan, which is in force.
    #[must_use]
    pub fn settle(&self, plan: &Plan) -> Settled {
        let judge = Judge::of(plan);
        let mut settled = Settled::default();
        let ids: Vec<u64> = self.all().keys().copied().collect();
        for ids in ids.chunks(AT_ONCE) {
            let mut all = self.all();
            for id in ids {
                if let Some(open) = all.get_mut(id) {
                    open.settle(&judge, &mut settled);
                }
            }
        }
        settled
    }

    /// The same, of one that has opened since. It is one alone, so there is nothing to spread.
    pub(super) fn settle_one(&self, id: u64) {
        let mut settled = Settled::default();
        {
            let mut all = self.all();
            // Under the lock: a later plan's reload has its turn behind this one, and never ahead.
            let in_force = self.in_force.load_full();
            if let Some(open) = all.get_mut(&id) {
                open.settle(&Judge::of(&in_force), &mut settled);
            }
        }
        tokio::spawn(settled.carry_out(Duration::ZERO));
    }
}

impl Settled {
    /// Ends those that are to be ended, in no order, over `window`, and asks for the sessions of those that were kept
    /// where these are looked up in another way now.
    pub async fn carry_out(self, window: Duration) {
        let Self { mut ending, doubtful } = self;
        fastrand::shuffle(&mut ending);
        let ending = spread(ending, window, |exit: Exit| exit.end(EndReason::RouteChanged));
        join(ending, Doubtful::all(doubtful)).await;
    }
}

impl Open {
    fn settle(&mut self, judge: &Judge<'_>, settled: &mut Settled) {
        if self.is_ending {
            return;
        }
        match judge.fate(self) {
            Fate::Untouched(route) => self.hang_on(route),
            Fate::Kept(route) => {
                let is_known = match (&self.route.sessions, &route.sessions) {
                    (Some(before), Some(now)) => Arc::ptr_eq(before, now),
                    (_, now) => now.is_none(),
                };
                self.hang_on(route);
                if !is_known {
                    settled.doubtful.extend(Doubtful::new(self));
                }
            }
            Fate::Drained | Fate::Cut => {
                self.is_ending = true;
                settled.ending.push(self.exit.clone());
            }
        }
    }
}
