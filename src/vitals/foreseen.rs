//! What a reload would do, to a gateway as it is now.

use super::streams::Census;
use crate::{
    config::source::ReloadStreams,
    plan::{
        Plan,
        changes::{Changes, Hanging, Part, Uses, What},
    },
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Display, Formatter},
    time::Duration,
};

/// Over this part of a drain's deadline event streams end.
pub(crate) const SHARE_OF_STREAMS: u32 = 4;

/// What a reload would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Foreseen {
    /// What is in force.
    pub revision: String,
    /// What would be.
    pub next: String,
    /// What differs, with what hangs on it.
    pub changes: Changes,
    /// What becomes of all streams; the requests in flight end as they began.
    pub streams: Hanging,
    /// Over how long streams are drained, in milliseconds.
    pub drained_over_ms: u64,
    /// The most streams that may end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_streams_cut: Option<usize>,
}

impl Foreseen {
    /// What becomes of what is in force, where `after` is taken up. The census is that of the streams under `after`.
    pub(crate) fn of(before: &Plan, after: &Plan, census: Census) -> Self {
        let hanging = by_part(before, &census);
        let mut changes = Changes::between(&before.into(), &after.into());
        for change in changes.0.iter_mut().filter(|change| change.what != What::Added) {
            change.hanging = Some(hanging.get(&change.part).copied().unwrap_or_default());
        }
        let mut all = census.into_values().fold(Hanging::default(), sum);
        all.requests = before
            .routes
            .iter()
            .map(|route| requests(route.metrics.in_flight.get(), route.metrics.streams.get()))
            .sum();
        Self {
            revision: before.revision.to_string(),
            next: after.revision.to_string(),
            changes,
            streams: all,
            drained_over_ms: u64::try_from(window(after).as_millis()).unwrap_or(u64::MAX),
            max_streams_cut: after.loaded.config.reload.max_streams_cut,
        }
    }

    /// Whether it would end more streams than it may.
    #[must_use]
    pub fn ends_too_many(&self) -> bool {
        self.max_streams_cut.is_some_and(|most| self.streams.ended() > most)
    }

    /// Whether it would be refused, unless it is forced where that helps.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.ends_too_many() || self.changes.need_upgrade().next().is_some()
    }

    /// That it ends too many streams, and which, in one line.
    #[must_use]
    pub fn too_many(&self) -> String {
        let most = self.max_streams_cut.unwrap_or(usize::MAX);
        let ends = |hanging: Option<Hanging>| hanging.map_or(0, |hanging| hanging.ended());
        let parts = self.changes.0.iter().filter(|change| ends(change.hanging) > 0);
        let parts: Vec<String> = parts.map(|change| format!("{} {}", change.part, ends(change.hanging))).collect();
        format!(
            "it would end {} streams, and `reload.max_streams_cut` is {most} ({}): `portcullis reload --force` does it \
             all the same",
            self.streams.ended(),
            parts.join(", ")
        )
    }
}

impl Display for Foreseen {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.changes, self.changes.summary())?;
        if self.streams.streams() + self.streams.requests > 0 {
            write!(f, "; {}", self.streams)?;
        }
        if self.streams.drained > 0 {
            write!(f, "; drained over {:?}", Duration::from_millis(self.drained_over_ms))?;
        }
        let fixed: Vec<&str> = self.changes.need_upgrade().map(|change| change.part.as_str()).collect();
        if !fixed.is_empty() {
            write!(f, "\nA reload is refused: a running process cannot take up {}.", fixed.join(", "))?;
        } else if self.ends_too_many() {
            write!(f, "\nA reload is refused: {}.", self.too_many())?;
        }
        Ok(())
    }
}

/// Over how long streams end that have to.
pub(crate) fn window(plan: &Plan) -> Duration {
    let config = &plan.loaded.config;
    match config.reload.streams {
        ReloadStreams::Keep => config.drain.deadline.get() / SHARE_OF_STREAMS,
        ReloadStreams::Drain(window) => window.get(),
        ReloadStreams::Cut => Duration::ZERO,
    }
}

/// What hangs on each part of a plan, by the part's name.
fn by_part(plan: &Plan, census: &Census) -> BTreeMap<String, Hanging> {
    let mut hanging = BTreeMap::<String, Hanging>::new();
    let written = &plan.loaded.config.routes;
    for (route, written) in plan.routes.iter().zip(written) {
        let streams = census.get(&route.name).copied().unwrap_or_default();
        let requests = requests(route.metrics.in_flight.get(), route.metrics.streams.get());
        let of_route = Hanging { requests, ..streams };
        if of_route == Hanging::default() {
            continue;
        }
        let uses = Uses::of(&plan.loaded.config, written);
        let parts: BTreeSet<Part<'_>> = uses.streams.into_iter().chain(uses.requests).collect();
        for part in parts.into_iter().chain([Part::named("routes", &route.name)]) {
            let sum_before = hanging.entry(part.to_string()).or_default();
            *sum_before = sum(*sum_before, of_route);
        }
    }
    hanging
}

/// Those in flight that are no streams. The two are counted one after the other, so that either may be ahead.
fn requests(in_flight: i64, streams: i64) -> usize {
    usize::try_from(in_flight.saturating_sub(streams)).unwrap_or_default()
}

fn sum(one: Hanging, other: Hanging) -> Hanging {
    Hanging {
        requests: one.requests + other.requests,
        untouched: one.untouched + other.untouched,
        kept: one.kept + other.kept,
        drained: one.drained + other.drained,
        cut: one.cut + other.cut,
    }
}
