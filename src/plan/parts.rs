//! What filters are built from.

use super::{BuildProblem, Outside, build::find, keys::Keys, stores::Stores};
use crate::{
    config::{
        Config,
        source::{self, MemoryStore as WrittenMemory},
    },
    upstream::{Upstream, sessions::BackendSessions},
};
use filters::{
    api::{BuildFault, Parts, SessionLookup},
    budget::Budget,
    memory::MemoryBudgets,
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
        sessions: sessions(config, upstreams)?,
        stores: stores.by_name.clone(),
        instance: Arc::new(MemoryBudgets::new(Arc::clone(clock), WrittenMemory::default().budget_keys)),
        budgets: budgets(config).map_err(BuildProblem::Budget)?,
    })
}

fn sessions(config: &Config, upstreams: &Upstreams) -> Result<BTreeMap<String, Arc<dyn SessionLookup>>, BuildProblem> {
    let lookup = |(name, written): (&String, &source::Sessions)| {
        let upstream = find(upstreams, &written.upstream, "upstream", || format!("sessions `{name}`"))?;
        let lookup = BackendSessions::new(Arc::clone(upstream), &written.path, written.timeout.get());
        Ok((name.clone(), Arc::new(lookup) as Arc<dyn SessionLookup>))
    };
    config.sessions.iter().map(lookup).collect()
}

fn budgets(config: &Config) -> Result<BTreeMap<String, Arc<Budget>>, BuildFault> {
    config.budgets.iter().map(|(name, written)| Ok((name.clone(), Arc::new(Budget::new(name, written)?)))).collect()
}
