use super::{
    super::{
        secrets::{self, SecretFault},
        source::Secret,
        tree::join,
    },
    Checks,
};
use std::io::ErrorKind;

impl Checks<'_> {
    pub(super) fn signing(&mut self) {
        let Some(signing) = &self.config.signing else {
            if let Some(index) = self.config.routes.iter().position(|route| route.commands.is_some()) {
                let remedy = "add `signing: { keys: { main: { file: signer.pem } }, active: main }`";
                let what = "commands are answered with a signature, but there is no `signing`";
                self.error(&format!("/routes/{index}/commands"), what, remedy);
            }
            return;
        };
        self.known("/signing/active", "signing key", &signing.active, &signing.keys);
        for (name, secret) in &signing.keys {
            let pointer = join("/signing/keys", name);
            if self.outside.has_secrets {
                self.signing_key(&pointer, secret);
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
                self.error(&pointer, format!("the marker `{marker}` is empty or too long"), remedy);
            }
            // With one marker for two, what was signed as an answer could be sent as a request.
            if let Some((other, _)) = markers.iter().take(index).find(|(_, other)| other == marker) {
                let what = format!("`{name}` has the same marker as `{other}`");
                self.error(&pointer, what, "give each kind a marker of its own");
            }
        }
    }

    fn signing_key(&mut self, pointer: &str, secret: &Secret) {
        let (field, remedy) = match secret {
            Secret::File(_) => ("file", "make a key with `openssl genpkey -algorithm ed25519 -out signer.pem`"),
            Secret::Env(_) => ("env", "set it to a PKCS#8 PEM, as `openssl genpkey -algorithm ed25519` writes one"),
        };
        let pointer = join(pointer, field);
        if let Err(fault) = secrets::signing_key(secret, self.outside.base_dir, self.outside.env) {
            let remedy = match &fault {
                SecretFault::Unreadable { source, .. } if source.kind() != ErrorKind::NotFound => {
                    "name a file that this user may read"
                }
                _ => remedy,
            };
            self.error(&pointer, fault.to_string(), remedy);
        } else if let Secret::File(path) = secret {
            self.private_file(&pointer, path);
        }
    }
}
