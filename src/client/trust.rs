//! Whose certificates count on `https://`.

use crate::config::{
    file::{self, BYTES_MAX},
    secrets,
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use std::{io, path::Path, sync::Arc};

/// The authorities whose certificates a client takes.
#[derive(Debug, Clone)]
pub struct Trust(Arc<RootCertStore>);

/// Why there is nobody to trust.
#[derive(Debug, thiserror::Error)]
pub enum TrustFault {
    /// The system's authorities cannot be read.
    #[error("the system's certificate authorities: {0}")]
    System(#[source] io::Error),
    /// A file has none.
    #[error("`{file}`: {what}")]
    File {
        /// The file.
        file: String,
        /// What is wrong with it.
        what: String,
    },
}

impl Trust {
    /// No authority: every `https://` call fails.
    #[must_use]
    pub fn nobody() -> Self {
        Self(Arc::new(RootCertStore::empty()))
    }

    /// Those of the operating system.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn of_the_system() -> Result<Self, TrustFault> {
        let mut roots = RootCertStore::empty();
        // Some systems carry a certificate or two that no longer parses: the others still count.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().map_err(TrustFault::System)?);
        Ok(Self(Arc::new(roots)))
    }

    /// Those in a file: PEM, or one as DER.
    ///
    /// # Errors
    /// Where it cannot be read, has something else in it, or has none.
    pub fn in_file(path: &Path) -> Result<Self, TrustFault> {
        let fault = |what: String| TrustFault::File { file: path.display().to_string(), what };
        let mut roots = RootCertStore::empty();
        let bytes = file::read(path, BYTES_MAX).map_err(|error| fault(error.to_string()))?;
        for certificate in secrets::certificates(&bytes).map_err(fault)? {
            roots.add(certificate).map_err(|error| fault(error.to_string()))?;
        }
        Ok(Self(Arc::new(roots)))
    }

    /// How to speak TLS to those whom they vouch for.
    #[must_use]
    pub fn config(&self) -> ClientConfig {
        // The builder without a named provider panics where a process has none installed, or two to choose from.
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        #[expect(clippy::expect_used, reason = "ring has cipher suites for the default versions")]
        let builder = builder.with_safe_default_protocol_versions().expect("ring speaks TLS 1.3");
        builder.with_root_certificates(Arc::clone(&self.0)).with_no_client_auth()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_gives_nobody() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (text, expected) in [
            ("", "there is no PEM section in it"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "BadEncoding"),
            ("-----BEGIN CERTIFICATE-----\n!\n", "section"),
            ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "it is a PUBLIC KEY"),
        ] {
            std::fs::write(&file, text).unwrap();
            let fault = Trust::in_file(file.path()).unwrap_err().to_string();
            assert!(fault.contains(expected), "{fault}");
        }
        assert!(
            Trust::in_file(Path::new("/nowhere/ca.pem")).unwrap_err().to_string().starts_with("`/nowhere/ca.pem`: ")
        );
    }
}
