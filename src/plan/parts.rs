//! What filters are built from.

use super::{
    BuildProblem, Outside, Plan,
    kept::{Kept, KeptParts, Origin, keep},
    keys::Keys,
    stores::PlannedStore,
    upstreams::{Upstreams, cleartext},
};
use crate::{
    config::{
        Config,
        source::{self, MemoryStore as WrittenMemory},
    },
    upstream::{Upstream, sessions::BackendSessions},
};
use filters::{
    api::{BuildFault, Parts},
    budget::{Budget, BudgetConfig},
    memory::MemoryBudgets,
    session::{CacheOptions, Directory, SessionCache},
};
use std::{collections::BTreeMap, sync::Arc};

pub(super) fn parts(
    config: &Config,
    sessions: &KeptParts<Directory>,
    outside: &Outside<'_>,
    keys: Option<&Keys>,
    stores: &KeptParts<PlannedStore>,
    previous: Option<&Plan>,
) -> Result<Parts, BuildProblem> {
    let clock = &outside.clock;
    // What callers have spent is counted by rule: one that stays goes on where it was.
    let instance = previous.map(|plan| Arc::clone(&plan.instance));
    let anew = || Arc::new(MemoryBudgets::new(Arc::clone(clock), WrittenMemory::default().budget_keys));
    Ok(Parts {
        clock: Arc::clone(clock),
        markers: keys.map(|keys| keys.signer.markers.clone()).unwrap_or_default(),
        sessions: sessions.iter().map(|(name, kept)| (name.clone(), Arc::clone(&kept.part))).collect(),
        stores: stores.iter().map(|(name, kept)| (name.clone(), kept.part.store())).collect(),
        instance: instance.unwrap_or_else(anew),
        budgets: budgets(config, previous).map_err(BuildProblem::Budget)?,
    })
}

pub(super) fn sessions(
    config: &Config,
    upstreams: &Upstreams,
    outside: &Outside<'_>,
    previous: Option<&Plan>,
) -> Result<KeptParts<Directory>, BuildProblem> {
    let previous = previous.map(|plan| &plan.sessions);
    let mut sessions = BTreeMap::new();
    for (name, written) in &config.sessions {
        let upstream = cleartext(upstreams, &written.upstream, || format!("sessions `{name}`"))?;
        let make = || Ok::<_, BuildProblem>(Arc::new(directory(name, written, upstream, outside)));
        sessions.insert(name.clone(), keep(previous, name, Origin::new(written, &[upstream.origin]), make)?);
    }
    Ok(sessions)
}

fn directory(name: &str, written: &source::Sessions, upstream: &Kept<Upstream>, outside: &Outside<'_>) -> Directory {
    let lookup = BackendSessions::new(name, Arc::clone(&upstream.part), &written.path, written.timeout.get());
    let sessions = written.cache.as_ref().map(|cache| SessionCache {
        ttl: cache.ttl.get(),
        sessions_max: cache.sessions,
        without_feed: cache.without_feed,
    });
    let options = CacheOptions { sessions, unknown_for: written.unknown_for.map(|unknown_for| unknown_for.get()) };
    let counts = Arc::new(outside.metrics.sessions(name));
    Directory::new(Arc::new(lookup), options, Arc::clone(outside.invalidations), counts)
}

/// The budgets as they are written. One that is written as it was goes on, with what was changed of it while it worked.
fn budgets(config: &Config, previous: Option<&Plan>) -> Result<BTreeMap<String, Arc<Budget>>, BuildFault> {
    let budget = |(name, written): (&String, &BudgetConfig)| {
        let known = previous.and_then(|plan| plan.budgets.get(name));
        if let Some(same) = known.filter(|known| known.is_of(written)) {
            return Ok((name.clone(), Arc::clone(same)));
        }
        let counts = known.map(|known| Arc::clone(&known.counts)).unwrap_or_default();
        Ok((name.clone(), Arc::new(Budget::new(name, written, counts)?)))
    };
    config.budgets.iter().map(budget).collect()
}
