//! Stores out of their configuration.

use super::{BuildProblem, Outside};
use crate::{
    config::{Loaded, source},
    store::redis::{RedisOptions, RedisStore},
};
use filters::{api::Store, memory::MemoryStore};
use std::{collections::BTreeMap, sync::Arc};

/// The stores of a plan.
#[derive(Default)]
pub(super) struct Stores {
    pub(super) by_name: BTreeMap<String, Arc<dyn Store>>,
    /// Those among them that have to be kept connected. None is connected yet, and none is waited for: until it
    /// is up, every claim fails at once.
    pub(super) shared: Vec<Arc<RedisStore>>,
}

impl Stores {
    /// The stores that are configured.
    ///
    /// # Errors
    /// Where a secret or a certificate cannot be read.
    pub(super) fn new(loaded: &Loaded, outside: &Outside<'_>) -> Result<Self, BuildProblem> {
        let mut stores = Self::default();
        for (name, written) in &loaded.config.stores {
            let store: Arc<dyn Store> = match written {
                source::Store::Memory(memory) => {
                    Arc::new(MemoryStore::new(&outside.clock, memory.replay_ids, memory.budget_keys))
                }
                source::Store::Redis(redis) => {
                    let options = RedisOptions::new(redis, loaded, outside.env)
                        .map_err(|fault| BuildProblem::Store { store: name.clone(), fault })?;
                    let metrics = outside.metrics.store(name);
                    let store = RedisStore::new(name, options, Arc::clone(&outside.clock), metrics);
                    stores.shared.push(Arc::clone(&store));
                    store
                }
            };
            stores.by_name.insert(name.clone(), store);
        }
        Ok(stores)
    }
}
