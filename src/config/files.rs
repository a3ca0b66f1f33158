//! The files that a configuration names.

use super::{
    Config,
    source::{Key, Secret, Store},
};
use std::path::PathBuf;

/// Every file that has a part in what the configuration means, once, as it is written.
pub(super) fn named(config: &Config) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for tls in config.listeners.values().filter_map(|listener| listener.tls.as_ref()) {
        files.extend([tls.certificate.clone(), tls.key.clone()]);
    }
    for key in config.signing.iter().flat_map(|signing| signing.keys.values()) {
        if let Key::Private(secret) = key {
            files.extend(file(secret));
        }
    }
    let feeds = config.events.values().map(|events| &events.feed.tls);
    let upstreams = config.upstreams.values().map(|upstream| &upstream.tls);
    files.extend(upstreams.chain(feeds).filter_map(|tls| tls.as_ref()?.ca.clone()));
    for store in config.stores.values() {
        if let Store::Redis(redis) = store {
            let sentinel = redis.sentinel.as_ref().and_then(|sentinel| sentinel.password.as_ref());
            files.extend(redis.tls.as_ref().map(|tls| tls.ca.clone()));
            files.extend(redis.password.iter().chain(sentinel).filter_map(file));
        }
    }
    files.extend(config.routes.iter().filter_map(|route| Some(route.rpc.as_ref()?.descriptors.clone())));
    files.sort_unstable();
    files.dedup();
    files
}

fn file(secret: &Secret) -> Option<PathBuf> {
    match secret {
        Secret::File(path) => Some(path.clone()),
        Secret::Env(_) => None,
    }
}
