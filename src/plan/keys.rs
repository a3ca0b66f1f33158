//! The keys of `signing`, read once for a plan.

use super::{BuildProblem, published::PublishedKeys, signer::Signer};
use crate::config::{
    Env, Loaded,
    secrets::{self, SecretFault},
    source::{Key, Markers, Signing},
};
use std::{collections::BTreeMap, sync::Arc};

/// What a plan does with its signing keys.
pub(super) struct Keys {
    /// The active one, which signs.
    pub(super) signer: Arc<Signer>,
    /// The public halves of all.
    pub(super) published: Arc<PublishedKeys>,
}

impl Keys {
    /// Reads them.
    ///
    /// # Errors
    /// Where one cannot be read, or the active one cannot sign.
    pub(super) fn read(loaded: &Loaded, signing: &Signing, env: &Env<'_>) -> Result<Self, BuildProblem> {
        let problem = |key_id: &str, fault: SecretFault| BuildProblem::Secret { key_id: key_id.to_owned(), fault };
        let active = &signing.active;
        let Some(Key::Private(secret)) = signing.keys.get(active) else {
            return Err(BuildProblem::Missing { user: "signing".to_owned(), kind: "key", name: active.clone() });
        };
        let key = secrets::signing_key(secret, &loaded.base_dir, env).map_err(|fault| problem(active, fault))?;
        let mut public = BTreeMap::from([(active.clone(), key.verifying_key())]);
        for (key_id, key) in signing.keys.iter().filter(|(key_id, _)| *key_id != active) {
            let key = secrets::verifying_key(key, &loaded.base_dir, env).map_err(|fault| problem(key_id, fault))?;
            public.insert(key_id.clone(), key);
        }
        let Markers { request, response, event } = signing.markers.clone();
        let signer = Signer::new(active, key, proto::signing::Markers { request, response, event });
        Ok(Self { signer: Arc::new(signer), published: Arc::new(PublishedKeys::new(active, &public)) })
    }
}
