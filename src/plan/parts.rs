//! What filters are built from.

use super::{BuildProblem, Outside, build::cleartext, keys::Keys, stores::Stores};
use crate::{
    config::{
        Config,
        source::{self, MemoryStore as WrittenMemory},
    },
    upstream::{Upstream, sessions::BackendSessions},
};
use filters::{
    api::{BuildFault, Parts},
    budget::Budget,
    memory::MemoryBudgets,
    session::{CacheOptions, Directory, SessionCache},
};
use std::{collections::BTreeMap, sync::Arc};

/// Upstreams by name.
pub(super) type Upstreams = BTreeMap<String, Arc<Upstream>>;

pub(super) fn parts(
    config: &Config,
    upstreams: &Upstreams,
    outside: &Outside<'_>,
    keys: Option<&Keys>,
    stores: &Stores,
) -> Result<Parts, BuildProblem> {
    let clock = &outside.clock;
    Ok(Parts {
        clock: Arc::clone(clock),
        markers: keys.map(|keys| keys.signer.markers.clone()).unwrap_or_default(),
        sessions: sessions(config, upstreams, outside)?,
        stores: stores.by_name.clone(),
        instance: Arc::new(MemoryBudgets::new(Arc::clone(clock), WrittenMemory::default().budget_keys)),
        budgets: budgets(config).map_err(BuildProblem::Budget)?,
    })
}

fn sessions(
    config: &Config,
    upstreams: &Upstreams,
    outside: &Outside<'_>,
) -> Result<BTreeMap<String, Arc<Directory>>, BuildProblem> {
    let mut sessions = BTreeMap::new();
    for (name, written) in &config.sessions {
        let upstream = cleartext(upstreams, &written.upstream, || format!("sessions `{name}`"))?;
        sessions.insert(name.clone(), Arc::new(directory(name, written, upstream, outside)));
    }
    Ok(sessions)
}

fn directory(name: &str, written: &source::Sessions, upstream: &Arc<Upstream>, outside: &Outside<'_>) -> Directory {
    let lookup = BackendSessions::new(Arc::clone(upstream), &written.path, written.timeout.get());
    let sessions = written.cache.as_ref().map(|cache| SessionCache {
        ttl: cache.ttl.get(),
        sessions_max: cache.sessions,
        without_feed: cache.without_feed,
    });
    let options = CacheOptions { sessions, unknown_for: written.unknown_for.map(|unknown_for| unknown_for.get()) };
    let counts = Arc::new(outside.metrics.sessions(name));
    Directory::new(Arc::new(lookup), options, Arc::clone(outside.invalidations), counts)
}

fn budgets(config: &Config) -> Result<BTreeMap<String, Arc<Budget>>, BuildFault> {
    config.budgets.iter().map(|(name, written)| Ok((name.clone(), Arc::new(Budget::new(name, written)?)))).collect()
}
