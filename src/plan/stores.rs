//! Stores out of their configuration.

use super::{
    BuildProblem, Outside, Plan,
    kept::{KeptParts, Origin, keep},
};
use crate::{
    config::{Loaded, secrets, source},
    store::redis::{RedisOptions, RedisStore},
};
use filters::{api::Store, memory::MemoryStore};
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::watch;

/// A store of a plan.
pub enum PlannedStore {
    /// In this process.
    Memory(Arc<MemoryStore>),
    /// In a server that several instances share.
    Shared(SharedStore),
}

/// A store that has to be kept connected. It is not connected yet when it is new: until it is up, every claim fails at
/// once. It is left when the last plan that has it is gone.
pub struct SharedStore {
    store: Arc<RedisStore>,
    left: watch::Sender<bool>,
}

impl SharedStore {
    fn new(store: Arc<RedisStore>) -> Self {
        Self { store, left: watch::Sender::new(false) }
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<RedisStore> {
        &self.store
    }

    /// What tells whoever keeps it connected that it is left. None where somebody does already.
    #[must_use]
    pub fn begin(&self) -> Option<watch::Receiver<bool>> {
        (self.left.receiver_count() == 0).then(|| self.left.subscribe())
    }

    /// Has the connection closed.
    pub fn leave(&self) {
        self.left.send_replace(true);
    }
}

impl Drop for SharedStore {
    fn drop(&mut self) {
        self.leave();
    }
}

impl PlannedStore {
    /// As filters see it.
    pub(super) fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Memory(store) => Arc::clone(store) as _,
            Self::Shared(shared) => Arc::clone(&shared.store) as _,
        }
    }
}

/// The stores that are configured.
///
/// # Errors
/// Where a secret or a certificate cannot be read.
pub(super) fn stores(
    loaded: &Loaded,
    outside: &Outside<'_>,
    previous: Option<&Plan>,
) -> Result<KeptParts<PlannedStore>, BuildProblem> {
    let previous = previous.map(|plan| &plan.stores);
    let mut stores = BTreeMap::new();
    for (name, written) in &loaded.config.stores {
        let beside = match written {
            source::Store::Memory(_) => Vec::new(),
            source::Store::Redis(redis) => secrets(redis, loaded, outside),
        };
        let make = || planned(name, written, loaded, outside).map(Arc::new);
        stores.insert(name.clone(), keep(previous, name, Origin::new(written, &beside), make)?);
    }
    Ok(stores)
}

fn planned(
    name: &str,
    written: &source::Store,
    loaded: &Loaded,
    outside: &Outside<'_>,
) -> Result<PlannedStore, BuildProblem> {
    Ok(match written {
        source::Store::Memory(memory) => {
            PlannedStore::Memory(Arc::new(MemoryStore::new(&outside.clock, memory.replay_ids, memory.budget_keys)))
        }
        source::Store::Redis(redis) => {
            let options = RedisOptions::new(redis, loaded, outside.env)
                .map_err(|fault| BuildProblem::Store { store: name.to_owned(), fault })?;
            let metrics = outside.metrics.store(name);
            let store = RedisStore::new(name, options, Arc::clone(&outside.clock), metrics);
            PlannedStore::Shared(SharedStore::new(store))
        }
    })
}

/// What the configuration only refers to. What cannot be read is found when the store is made.
fn secrets(redis: &source::RedisStore, loaded: &Loaded, outside: &Outside<'_>) -> Vec<Vec<u8>> {
    let sentinel = redis.sentinel.as_ref().and_then(|sentinel| sentinel.password.as_ref());
    let password = |secret| secrets::password(secret, &loaded.base_dir, outside.env).unwrap_or_default().into_bytes();
    let passwords = [redis.password.as_ref(), sentinel].map(|secret| secret.map(password).unwrap_or_default());
    let ca = redis.tls.as_ref().map(|tls| loaded.content(&tls.ca));
    passwords.into_iter().chain(ca).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config,
        plan::{self, Outside},
        telemetry::metrics::Metrics,
    };
    use filters::{memory::SystemClock, session::Invalidations};
    use std::path::Path;

    /// A plan with a store of this prefix.
    fn plan(prefix: &str, previous: Option<&Plan>) -> Plan {
        let yaml = format!(
            "version: 1\nlisteners: {{ edge: {{ bind: '127.0.0.1:0' }} }}\n\
             stores: {{ main: {{ redis: {{ url: 'redis://127.0.0.1:1', prefix: {prefix} }} }} }}\n"
        );
        let loaded = config::parse(&yaml, "gateway.yaml", Path::new(""), &|_| None).unwrap();
        let clock = Arc::new(SystemClock::new());
        let invalidations = Arc::new(Invalidations::new(clock.clone()));
        let metrics = Metrics::new().unwrap();
        let outside = Outside { clock, metrics: &metrics, invalidations: &invalidations, env: &|_| None };
        plan::build(loaded, &outside, previous).unwrap()
    }

    fn begin(plan: &Plan) -> Option<watch::Receiver<bool>> {
        plan.shared_stores().next().unwrap().begin()
    }

    #[test]
    fn a_store_is_left_with_the_last_plan_that_has_it() {
        let first = plan("a", None);
        let left = begin(&first).unwrap();
        let second = plan("a", Some(&first));
        assert!(begin(&second).is_none(), "it is connected already");
        let third = plan("b", Some(&second));
        assert!(begin(&third).is_some(), "another store");
        drop(first);
        assert!(!*left.borrow(), "a request may be on the second plan still");
        drop(second);
        assert!(*left.borrow());
    }
}
