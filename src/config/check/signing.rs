use super::{
    super::{
        secrets::{self, SecretFault},
        source::{Key, Secret},
        tree::join,
    },
    Checks,
};
use ed25519_dalek::VerifyingKey;
use std::{collections::BTreeMap, io::ErrorKind};

impl Checks<'_> {
    pub(super) fn signing(&mut self) {
        let Some(signing) = &self.config.signing else {
            return self.no_signing();
        };
        self.known("/signing/active", "signing key", &signing.active, &signing.keys);
        if let Some(Key::Public(_)) = signing.keys.get(&signing.active) {
            let what = format!("the active key `{}` cannot sign: only its public half is given", signing.active);
            self.error("/signing/active", what, "give it by `file` or `env`, or make another key active");
        }
        let mut names = BTreeMap::new();
        for (name, key) in &signing.keys {
            let pointer = join("/signing/keys", name);
            let Some(key) = self.key(&pointer, key) else { continue };
            // Whoever changes from one name to the other believes to have changed the key.
            if let Some(first) = names.insert(key.to_bytes(), name) {
                let what = format!("`{name}` is the same key as `{first}`");
                self.error(&pointer, what, "make a new key for each name");
            }
        }
        let markers = [
            ("request", &signing.markers.request),
            ("response", &signing.markers.response),
            ("event", &signing.markers.event),
        ];
        for (index, (name, marker)) in markers.iter().enumerate() {
            let pointer = format!("/signing/markers/{name}");
            if marker.is_empty() || marker.len() > 64 {
                let remedy = format!("write 1 to 64 characters, such as `edge-{name}-v1`");
                self.error(&pointer, format!("the marker «{marker}» is empty or too long"), remedy);
            }
            // With one marker for two, what was signed as an answer could be sent as a request.
            if let Some((other, _)) = markers.iter().take(index).find(|(_, other)| other == marker) {
                let what = format!("`{name}` has the same marker as `{other}`");
                self.error(&pointer, what, "give each kind a marker of its own");
            }
        }
    }

    fn no_signing(&mut self) {
        let routes = self.config.routes.iter().enumerate();
        let mut users = routes.filter_map(|(index, route)| {
            let events = "events are signed";
            let targets = [
                ("commands", route.commands.is_some(), "commands are answered with a signature"),
                ("websocket", route.websocket.is_some(), events),
                ("sse", route.sse.is_some(), events),
                ("publish", route.publish.is_some(), "signing keys are to be published"),
            ];
            targets.into_iter().find_map(|(target, is_there, why)| is_there.then_some((index, target, why)))
        });
        if let Some((index, target, why)) = users.next() {
            let remedy = "add `signing: { keys: { main: { file: signer.pem } }, active: main }`";
            self.error(format_args!("/routes/{index}/{target}"), format!("{why}, but there is no `signing`"), remedy);
        }
    }

    /// The public half of a key, or a problem. Nothing where the key is not here to be read.
    fn key(&mut self, pointer: &str, key: &Key) -> Option<VerifyingKey> {
        match key {
            Key::Private(secret) if self.outside.has_secrets => self.private_key(pointer, secret),
            Key::Private(_) => None,
            Key::Public(_) => {
                let found = secrets::verifying_key(key, self.outside.base_dir, self.outside.env);
                found.map_err(|fault| self.no_public_half(&join(pointer, "public"), &fault)).ok()
            }
        }
    }

    fn no_public_half(&mut self, pointer: &str, fault: &SecretFault) {
        let remedy = "write the standard base64 of the 32 bytes of an Ed25519 public key";
        self.fault(pointer, fault, remedy);
        // What stands there could be the private key, by mistake.
        if let Some(problem) = self.problems.last_mut() {
            problem.shows_line = false;
        }
    }

    fn private_key(&mut self, pointer: &str, secret: &Secret) -> Option<VerifyingKey> {
        let (field, remedy) = match secret {
            Secret::File(_) => ("file", "make a key with `openssl genpkey -algorithm ed25519 -out signer.pem`"),
            Secret::Env(_) => ("env", "set it to a PKCS#8 PEM, as `openssl genpkey -algorithm ed25519` writes one"),
        };
        let pointer = join(pointer, field);
        match secrets::signing_key(secret, self.outside.base_dir, self.outside.env) {
            Ok(key) => {
                if let Secret::File(path) = secret {
                    self.private_file(&pointer, path);
                }
                Some(key.verifying_key())
            }
            Err(fault) => {
                let remedy = match &fault {
                    SecretFault::Unreadable { source, .. } if source.kind() != ErrorKind::NotFound => {
                        "name a file that this user may read"
                    }
                    _ => remedy,
                };
                self.fault(&pointer, &fault, remedy);
                None
            }
        }
    }
}
