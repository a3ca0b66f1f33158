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

/// A store of a plan.
pub enum PlannedStore {
    /// In this process.
    Memory(Arc<MemoryStore>),
    /// One that has to be kept connected. It is not connected yet when it is new, and nobody waits for it: until it
    /// is up, every claim fails at once.
    Shared(Arc<RedisStore>),
}

impl PlannedStore {
    /// As filters see it.
    pub(super) fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Memory(store) => Arc::clone(store) as _,
            Self::Shared(store) => Arc::clone(store) as _,
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
            PlannedStore::Shared(RedisStore::new(name, options, Arc::clone(&outside.clock), metrics))
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
