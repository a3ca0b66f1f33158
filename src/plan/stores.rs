//! Shared stores out of their configuration.

use super::{BuildProblem, Outside};
use crate::{
    config::{Loaded, source},
    store::redis::{RedisOptions, RedisStore},
};
use std::sync::Arc;

/// A store in Redis, with the secrets that its configuration refers to. It is not connected yet, and never waited
/// for: whoever starts the plan spawns [`RedisStore::run`], and until the store is up every claim fails at once.
///
/// # Errors
/// Where a secret or a certificate cannot be read.
pub fn redis_store(
    name: &str,
    written: &source::RedisStore,
    loaded: &Loaded,
    outside: &Outside<'_>,
) -> Result<Arc<RedisStore>, BuildProblem> {
    let options = RedisOptions::new(written, loaded, outside.env)
        .map_err(|fault| BuildProblem::Store { store: name.to_owned(), fault })?;
    Ok(RedisStore::new(name, options, Arc::clone(&outside.clock), outside.metrics.store(name)))
}
