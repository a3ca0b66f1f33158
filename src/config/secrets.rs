//! What a configuration refers to: keys and certificates.

use super::{
    expand::{self, Env},
    file,
    pem::{self, Contents},
    source::{Key, Secret, Tls},
};
use ed25519_dalek::{
    SigningKey, VerifyingKey,
    pkcs8::{DecodePrivateKey, PrivateKeyInfoRef},
};
use filters::signature::{KeyFault, parse_key};
use rustls::{
    crypto::ring,
    pki_types::{self, CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use std::{io, path::Path};

/// A certificate chain has a few kilobytes, a key less than one.
const FILE_MAX: u64 = 256 << 10;

/// Why a secret or a certificate cannot be used. Says where it was looked for, never what was found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretFault {
    /// The file is not there, or not readable for this user.
    #[error("`{path}` cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The file is too large to be a key or a certificate.
    #[error("`{0}` is larger than 256 KiB")]
    TooLarge(String),
    /// The environment variable is not set, or empty.
    #[error("the environment variable `{0}` is not set")]
    Unset(String),
    /// The environment variable holds bytes that are no text.
    #[error("the environment variable `{0}` is not UTF-8")]
    NotUtf8(String),
    /// It is something other than it should be.
    #[error("{from} holds no {wanted}: {why}")]
    NotA {
        /// The file or variable.
        from: String,
        /// What it should hold.
        wanted: &'static str,
        /// What the parser says.
        why: String,
    },
    /// A public half is no key.
    #[error(transparent)]
    PublicHalf(#[from] KeyFault),
    /// A public half is a key that strict verification never takes.
    #[error("the key has small order or is not canonical, so that nothing verifies with it")]
    VerifiesNothing,
    /// Certificate and key are not of one pair.
    #[error("the key in `{key}` is not the one of the certificate in `{certificate}`")]
    Mismatch {
        /// The certificate's file.
        certificate: String,
        /// The key's file.
        key: String,
    },
}

/// The signing key that a secret refers to: PKCS#8, Ed25519, as PEM or DER.
///
/// # Errors
/// Where it cannot be read or is something else.
pub fn signing_key(secret: &Secret, base_dir: &Path, env: &Env<'_>) -> Result<SigningKey, SecretFault> {
    let (bytes, from) = referred(secret, base_dir, env)?;
    let not_a = |why: String| SecretFault::NotA { from: from.clone(), wanted: "Ed25519 key", why };
    match Contents::of(&bytes) {
        Contents::Other(why) => Err(not_a(why.to_owned())),
        Contents::Der(der) => ed25519(&der).map_err(not_a),
        Contents::Pem(pem) => {
            let mut found: Option<SigningKey> = None;
            for section in PrivatePkcs8KeyDer::pem_slice_iter(pem.as_bytes()) {
                let section = section.map_err(|error| not_a(format!("its PEM section is damaged: {error}")))?;
                let key = ed25519(section.secret_pkcs8_der()).map_err(not_a)?;
                if found.replace(key.clone()).is_some_and(|first| first != key) {
                    return Err(not_a("there are two keys in it".to_owned()));
                }
            }
            found.ok_or_else(|| not_a(other_sections(&pem)))
        }
    }
}

/// An Ed25519 key in PKCS#8.
fn ed25519(der: &[u8]) -> Result<SigningKey, String> {
    SigningKey::from_pkcs8_der(der).map_err(|error| {
        let algorithm = PrivateKeyInfoRef::try_from(der).map(|info| info.algorithm.oid.to_string());
        match algorithm.as_deref() {
            Ok("1.3.101.112") | Err(_) => error.to_string(),
            Ok("1.2.840.113549.1.1.1") => "it is an RSA key".to_owned(),
            Ok("1.2.840.10045.2.1") => "it is a key for ECDSA".to_owned(),
            Ok("1.3.101.110") => "it is an X25519 key, which signs nothing".to_owned(),
            Ok("1.3.101.113") => "it is an Ed448 key".to_owned(),
            Ok(other) => format!("it is a key for the algorithm {other}"),
        }
    })
}

/// What PEM holds in the place of a key that can be read.
fn other_sections(pem: &str) -> String {
    let labels = pem::labels(pem).unwrap_or_else(|| "something else".to_owned());
    let why = match labels.as_str() {
        "ENCRYPTED PRIVATE KEY" => ": take the passphrase off with `openssl pkey -in OLD -out NEW`",
        "OPENSSH PRIVATE KEY" => ", which only OpenSSH reads",
        "EC PRIVATE KEY" => ", which is SEC1 and for ECDSA",
        _ if pem.contains("ENCRYPTED") => {
            ", and encrypted: take the passphrase off with `openssl pkey -in OLD -out NEW`"
        }
        _ => "",
    };
    format!("it is a {labels}{why}")
}

/// The public half of a signing key, of which it may be all that is given.
///
/// # Errors
/// Where the key cannot be read or is something else, or nothing verifies with it.
pub fn verifying_key(key: &Key, base_dir: &Path, env: &Env<'_>) -> Result<VerifyingKey, SecretFault> {
    match key {
        Key::Private(secret) => Ok(signing_key(secret, base_dir, env)?.verifying_key()),
        Key::Public(half) => parse_key(&half.public)?.ok_or(SecretFault::VerifiesNothing),
    }
}

/// The password that a secret refers to. A line end behind it, as editors write one, is no part of it.
///
/// # Errors
/// Where it cannot be read, is empty or no text.
pub fn password(secret: &Secret, base_dir: &Path, env: &Env<'_>) -> Result<String, SecretFault> {
    let (bytes, from) = referred(secret, base_dir, env)?;
    let not_a = |why: &str| SecretFault::NotA { from: from.clone(), wanted: "password", why: why.to_owned() };
    let text = String::from_utf8(bytes).map_err(|_| not_a("it is no UTF-8 text"))?;
    match text.trim_start_matches('\u{feff}').trim_end_matches(['\r', '\n']) {
        "" => Err(not_a("it is empty")),
        password => Ok(password.to_owned()),
    }
}

/// What a secret holds, and where that was, in words.
fn referred(secret: &Secret, base_dir: &Path, env: &Env<'_>) -> Result<(Vec<u8>, String), SecretFault> {
    match secret {
        Secret::File(path) => {
            let path = base_dir.join(path);
            Ok((read(&path)?, format!("`{}`", path.display())))
        }
        Secret::Env(name) => {
            let value = env(name).filter(|value| !value.is_empty()).ok_or_else(|| SecretFault::Unset(name.clone()))?;
            if !expand::is_text(&value) {
                return Err(SecretFault::NotUtf8(name.clone()));
            }
            Ok((value.into_bytes(), format!("the environment variable `{name}`")))
        }
    }
}

/// A certificate and its chain: PEM, or one certificate as DER.
///
/// # Errors
/// Where it cannot be read or is something else.
pub fn certificate_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, SecretFault> {
    certificates(&read(path)?).map_err(|why| not_a(path, "certificate", &why))
}

/// The certificates among what a file holds, at least one. On failure, why there is none.
pub(crate) fn certificates(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    match Contents::of(bytes) {
        Contents::Other(why) => Err(why.to_owned()),
        Contents::Der(der) => Ok(vec![CertificateDer::from(der)]),
        Contents::Pem(pem) => {
            let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
            match chain {
                Ok(chain) if !chain.is_empty() => Ok(chain),
                Ok(_) => Err(other_sections(&pem)),
                Err(error) => Err(format!("a PEM section is damaged: {error}")),
            }
        }
    }
}

/// A private key, as PKCS#8, PKCS#1 or SEC1, in PEM or DER.
///
/// # Errors
/// Where it cannot be read or is something else.
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, SecretFault> {
    let not_a = |why: &str| not_a(path, "private key", why);
    match Contents::of(&read(path)?) {
        Contents::Other(why) => Err(not_a(why)),
        Contents::Der(der) => PrivateKeyDer::try_from(der).map_err(not_a),
        Contents::Pem(pem) => PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|error| match error {
            pki_types::pem::Error::NoItemsFound => not_a(&other_sections(&pem)),
            error => not_a(&format!("its PEM section is damaged: {error}")),
        }),
    }
}

/// The certificate chain and key of a listener, known to belong together.
///
/// # Errors
/// Where they cannot be read, are something else, or are not of one pair.
pub fn certified_key(tls: &Tls, base_dir: &Path) -> Result<CertifiedKey, SecretFault> {
    let (certificate, key) = (base_dir.join(&tls.certificate), base_dir.join(&tls.key));
    let (chain, private) = (certificate_chain(&certificate)?, private_key(&key)?);
    CertifiedKey::from_der(chain, private, &ring::default_provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            SecretFault::Mismatch { certificate: certificate.display().to_string(), key: key.display().to_string() }
        }
        rustls::Error::InvalidCertificate(_) => not_a(&certificate, "certificate", &error.to_string()),
        error => not_a(&key, "private key", &error.to_string()),
    })
}

fn not_a(path: &Path, wanted: &'static str, why: &str) -> SecretFault {
    SecretFault::NotA { from: format!("`{}`", path.display()), wanted, why: why.to_owned() }
}

/// Whether every user of the machine may read a file.
#[must_use]
pub fn is_world_readable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

fn read(path: &Path) -> Result<Vec<u8>, SecretFault> {
    let read = file::read(path, FILE_MAX);
    let bytes = read.map_err(|source| SecretFault::Unreadable { path: path.display().to_string(), source })?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(SecretFault::TooLarge(path.display().to_string()));
    }
    Ok(bytes)
}
