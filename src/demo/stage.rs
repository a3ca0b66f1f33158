//! What must stand before the demo's gateway can start.

use super::{
    GATEWAY_YAML,
    backend::{Backend, Mailbox},
    folder::Folder,
};
use ed25519_dalek::{
    SigningKey, VerifyingKey,
    pkcs8::{EncodePrivateKey as _, spki::der::pem::LineEnding},
};
use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
};

/// The ports of the demo's listeners. One that is given is used or fails; one that is not falls back to a free
/// port where its usual one is taken.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct Ports {
    /// The public listener's port; 8080, or a free one
    #[arg(long = "public-port", value_name = "PORT")]
    pub public: Option<u16>,
    /// The edge listener's port; 9090, or a free one
    #[arg(long = "edge-port", value_name = "PORT")]
    pub edge: Option<u16>,
    /// The admin listener's port; 9901, or a free one
    #[arg(long = "admin-port", value_name = "PORT")]
    pub admin: Option<u16>,
}

/// The backend, a fresh signer, the gateway's file, and the addresses that it is to bind. The file is gone when this is
/// dropped.
#[derive(Debug)]
pub struct Stage {
    /// The stand-in backend.
    pub backend: Backend,
    folder: Folder,
    signer: SigningKey,
    signer_pem: String,
    binds: [SocketAddr; 3],
}

impl Stage {
    /// Starts the backend, whose mails come with it, makes the key and writes the file.
    ///
    /// # Errors
    /// Where no port can be bound, no key be made or no file be written.
    pub async fn set(ports: Ports) -> io::Result<(Self, Mailbox)> {
        let (backend, mailbox) = Backend::start().await?;
        let signer = fresh_key()?;
        let signer_pem = signer.to_pkcs8_pem(LineEnding::LF).map_err(io::Error::other)?.to_string();
        let binds = [(ports.public, 8080), (ports.edge, 9090), (ports.admin, 9901)];
        let binds =
            binds.map(|(given, usual)| (Ipv4Addr::LOCALHOST, given.unwrap_or_else(|| usual_or_free(usual))).into());
        let stage = Self { backend, folder: Folder::make()?, signer, signer_pem, binds };
        fs::write(stage.config_file(), GATEWAY_YAML)?;
        Ok((stage, mailbox))
    }

    /// The gateway's configuration, which may be changed while it runs.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.folder.path().join("gateway.yaml")
    }

    /// Where whoever speaks for the device that signed in finds its keys.
    pub(super) fn device_file(&self) -> PathBuf {
        self.folder.path().join("device.json")
    }

    /// A variable of the gateway, whatever its file becomes.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<String> {
        let [public, edge, admin] = self.binds;
        match name {
            "DEMO_PUBLIC" => Some(public.to_string()),
            "DEMO_EDGE" => Some(edge.to_string()),
            "DEMO_ADMIN" => Some(admin.to_string()),
            "DEMO_BACKEND" => Some(format!("http://{}", self.backend.address())),
            "DEMO_PUSH" => Some(format!("http://{}", self.backend.push_address())),
            "DEMO_SIGNER" => Some(self.signer_pem.clone()),
            // The history of what was in force ends with the demo, too.
            "STATE_DIRECTORY" => self.folder.path().to_str().map(str::to_owned),
            _ => None,
        }
    }

    /// What the gateway's answers verify with.
    #[must_use]
    pub fn gateway_key(&self) -> VerifyingKey {
        self.signer.verifying_key()
    }
}

/// A key nobody has had before.
pub(super) fn fresh_key() -> io::Result<SigningKey> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    Ok(SigningKey::from_bytes(&seed))
}

/// 0 lets the gateway take a free port itself, so that none is lost between this look and its bind.
fn usual_or_free(usual: u16) -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, usual)).map_or(0, |_| usual)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::pkcs8::DecodePrivateKey as _;

    #[tokio::test]
    async fn every_variable_of_the_configuration_is_there() {
        let (stage, _mailbox) = Stage::set(Ports::default()).await.unwrap();
        let names = GATEWAY_YAML.split("${").skip(1).map(|rest| rest.split_once('}').unwrap().0);
        let names: Vec<_> = names.chain(["DEMO_SIGNER"]).collect();
        assert_eq!(names.len(), 6, "{names:?}");
        for name in names {
            assert!(stage.variable(name).is_some(), "{name}");
        }
        assert_eq!(stage.variable("HOME"), None);
    }

    #[tokio::test]
    async fn the_signer_is_the_key_that_answers_verify_with() {
        let (stage, _mailbox) = Stage::set(Ports::default()).await.unwrap();
        let signer = SigningKey::from_pkcs8_pem(&stage.variable("DEMO_SIGNER").unwrap()).unwrap();
        assert_eq!(signer.verifying_key(), stage.gateway_key());
    }

    #[tokio::test]
    async fn a_given_port_is_kept_and_a_taken_usual_one_is_not() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let (stage, _mailbox) = Stage::set(Ports { public: Some(port), ..Ports::default() }).await.unwrap();
        assert_eq!(stage.variable("DEMO_PUBLIC"), Some(format!("127.0.0.1:{port}")));
        assert_eq!(usual_or_free(port), 0);
    }
}
