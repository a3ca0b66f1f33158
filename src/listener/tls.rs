//! Certificates, and the handshake.

use arc_swap::ArcSwap;
use pingora_core::{
    listeners::tls::Acceptor,
    protocols::{Stream, l4::stream::Stream as L4Stream},
};
use pingora_rustls::{ServerConfig, load_certs_and_key_files};
use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The TLS of a listener: TLS 1.2 and 1.3, with the listener's protocols offered by ALPN.
#[derive(Clone)]
pub struct Tls {
    acceptor: Arc<ArcSwap<Acceptor>>,
}

/// A certificate or key that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsProblem {
    /// A file cannot be read, or is no PEM.
    #[error("certificate {certificate:?} or key {key:?} cannot be read: {what}")]
    Unreadable {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The files hold no certificate or no private key.
    #[error("{certificate:?} must hold a certificate and {key:?} a private key, both as PEM")]
    Empty {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// Certificate and key do not belong together, or are of a kind that is not supported.
    #[error("certificate {certificate:?} and key {key:?} cannot be used together: {what}")]
    Unusable {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong.
        what: String,
    },
}

impl Tls {
    /// Reads certificate and key. Pingora's own `TlsSettings` would panic on what is wrong with them.
    ///
    /// # Errors
    /// What is wrong with the files.
    pub fn load(certificate: &Path, key: &Path, http1: bool, http2: bool) -> Result<Self, TlsProblem> {
        let files = || (certificate.to_owned(), key.to_owned());
        let unreadable = |what: String| {
            let (certificate, key) = files();
            TlsProblem::Unreadable { certificate, key, what }
        };
        let (Some(certificate_path), Some(key_path)) = (certificate.to_str(), key.to_str()) else {
            return Err(unreadable("their paths are not UTF-8".to_owned()));
        };
        let loaded = load_certs_and_key_files(certificate_path, key_path).map_err(|fault| {
            let cause = fault.root_cause();
            unreadable(cause.downcast_ref::<io::Error>().map_or_else(|| cause.to_string(), ToString::to_string))
        })?;
        let Some((chain, private_key)) = loaded else {
            let (certificate, key) = files();
            return Err(TlsProblem::Empty { certificate, key });
        };
        pingora_rustls::install_default_crypto_provider();
        let mut config =
            ServerConfig::builder().with_no_client_auth().with_single_cert(chain, private_key).map_err(|fault| {
                let (certificate, key) = files();
                TlsProblem::Unusable { certificate, key, what: fault.to_string() }
            })?;
        let offered: [(bool, &[u8]); 2] = [(http2, b"h2"), (http1, b"http/1.1")];
        config.alpn_protocols = offered.iter().filter(|(is, _)| *is).map(|(_, name)| name.to_vec()).collect();
        Ok(Self { acceptor: Arc::new(ArcSwap::from_pointee(Acceptor::from_server_config(Arc::new(config)))) })
    }

    /// From here on handshakes are made with the certificate of `other`; connections that stand are left alone.
    pub fn replace(&self, other: &Self) {
        self.acceptor.store(other.acceptor.load_full());
    }

    /// Makes the handshake on an accepted connection; `None` where it fails. The caller sets the deadline: a
    /// handshake inside Pingora's accept loop would have 60 seconds, outside every cap of ours.
    pub(super) async fn handshake(&self, stream: Stream) -> Option<Stream> {
        let tcp = stream.into_any().downcast::<L4Stream>().ok()?;
        let acceptor = self.acceptor.load_full();
        match acceptor.tls_handshake(*tcp).await {
            Ok(stream) => Some(Box::new(stream)),
            Err(fault) => {
                tracing::debug!(%fault, "TLS handshake failed");
                None
            }
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}
