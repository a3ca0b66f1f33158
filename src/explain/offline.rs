//! A configuration that needs nothing from outside: neither stores nor secrets nor whom to trust.

use crate::config::{
    Loaded,
    source::{Key, MemoryStore, Secret, Store},
};
use ed25519_dalek::{
    SigningKey,
    pkcs8::{EncodePrivateKey as _, spki::der::pem::LineEnding},
};

/// No variable of a real environment has such a name.
const KEY_VARIABLE: &str = "=portcullis-offline-key";

/// The same configuration with stores in memory, keys of its own, and backends that are spoken to in cleartext: nothing
/// is sent to them anyway. Headers have what is written for them, since they are shown.
pub(super) fn offline(loaded: Loaded) -> Loaded {
    let mut loaded = loaded.with_headers_as_written();
    let config = &mut loaded.config;
    for store in config.stores.values_mut() {
        if matches!(store, Store::Redis(_)) {
            *store = Store::Memory(MemoryStore::default());
        }
    }
    for key in config.signing.iter_mut().flat_map(|signing| signing.keys.values_mut()) {
        if matches!(key, Key::Private(_)) {
            *key = Key::Private(Secret::Env(KEY_VARIABLE.to_owned()));
        }
    }
    for upstream in config.upstreams.values_mut() {
        upstream.endpoints.iter_mut().for_each(in_cleartext);
    }
    for events in config.events.values_mut() {
        in_cleartext(&mut events.feed.grpc);
        events.feed.tls = None;
    }
    loaded
}

fn in_cleartext(url: &mut String) {
    if let Some(rest) = url.strip_prefix("https://") {
        *url = format!("http://{rest}");
    }
}

/// The environment of such a configuration.
pub(super) fn env(name: &str) -> Option<String> {
    let pem = || SigningKey::from_bytes(&[1; 32]).to_pkcs8_pem(LineEnding::LF).ok();
    (name == KEY_VARIABLE).then(pem).flatten().map(|pem| pem.to_string())
}
