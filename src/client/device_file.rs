//! The file that holds a device for the shell.

use super::{Device, GatewayKeys};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{SigningKey, VerifyingKey, pkcs8::DecodePublicKey as _};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fs, io, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path};

/// A device as JSON.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceFile {
    /// The session that the backend opened for the device.
    pub device_session_id: String,
    /// Base64 of the key's 32-byte seed.
    pub private_key: String,
    /// Base64 of the gateway's public keys, by `key_id`.
    #[serde(default)]
    pub gateway_keys: BTreeMap<String, String>,
}

/// Why a device file, or a key in it, is of no use.
#[derive(Debug, thiserror::Error)]
pub enum DeviceFileFault {
    /// It cannot be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is no such JSON.
    #[error("not a device file: {0}")]
    Json(#[from] serde_json::Error),
    /// A key in it is none.
    #[error("{0} is no Ed25519 key: write the standard base64 of its 32 bytes")]
    Key(String),
}

impl DeviceFile {
    /// The file of a device.
    #[must_use]
    pub fn of(device: &Device) -> Self {
        let encode = |(key_id, key): (&String, &VerifyingKey)| (key_id.clone(), STANDARD.encode(key.as_bytes()));
        Self {
            device_session_id: device.device_session_id.clone(),
            private_key: STANDARD.encode(device.key.as_bytes()),
            gateway_keys: device.gateway_keys.by_id.iter().map(encode).collect(),
        }
    }

    /// Reads it.
    ///
    /// # Errors
    /// Where it cannot be read or is no device file.
    pub fn load(path: &Path) -> Result<Self, DeviceFileFault> {
        Ok(serde_json::from_slice(&fs::read(path)?)?)
    }

    /// Writes it so that only its owner can read it, in place of what was there.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), DeviceFileFault> {
        // A new file: the mode is only given to a file that is created, and nothing may follow a link.
        match fs::remove_file(path) {
            Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(fault.into()),
            _ => {}
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        Ok(file.write_all(b"\n")?)
    }

    /// The device.
    ///
    /// # Errors
    /// Where a key is none.
    pub fn device(&self) -> Result<Device, DeviceFileFault> {
        let seed = decode(&self.private_key).ok_or_else(|| DeviceFileFault::Key("private_key".to_owned()))?;
        let mut device = Device::new(self.device_session_id.clone(), SigningKey::from_bytes(&seed));
        let parse = |(key_id, text): (&String, &String)| Ok((key_id.clone(), parse_public_key(text)?));
        let by_id = self.gateway_keys.iter().map(parse).collect::<Result<_, DeviceFileFault>>()?;
        device.gateway_keys = GatewayKeys { by_id, only: None };
        Ok(device)
    }
}

/// A public key: standard base64 of its 32 bytes, or PEM.
///
/// # Errors
/// Where the text is neither.
pub fn parse_public_key(text: &str) -> Result<VerifyingKey, DeviceFileFault> {
    let text = text.trim();
    let key = if text.starts_with("-----BEGIN") {
        VerifyingKey::from_public_key_pem(text).ok()
    } else {
        decode(text).and_then(|raw| VerifyingKey::from_bytes(&raw).ok())
    };
    key.ok_or_else(|| DeviceFileFault::Key(format!("{text:?}")))
}

fn decode(text: &str) -> Option<[u8; 32]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::pkcs8::{EncodePublicKey as _, spki::der::pem::LineEnding};
    use std::os::unix::fs::PermissionsExt as _;

    fn device() -> Device {
        let mut device = Device::new("session-1", SigningKey::from_bytes(&[1; 32]));
        let gateway = SigningKey::from_bytes(&[7; 32]).verifying_key();
        device.gateway_keys.by_id.insert("main".to_owned(), gateway);
        device
    }

    #[test]
    fn survives_its_file_which_only_its_owner_can_read() {
        let path = std::env::temp_dir().join(format!("portcullis-device-{}.json", std::process::id()));
        fs::write(&path, "left behind, for all to read").unwrap();
        let file = DeviceFile::of(&device());
        file.save(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        let loaded = DeviceFile::load(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(mode & 0o777, 0o600);
        assert!(loaded == file);
        let loaded = loaded.device().unwrap();
        assert_eq!(loaded.key, device().key);
        assert_eq!(loaded.gateway_keys.find("main"), device().gateway_keys.find("main"));
    }

    #[test]
    fn keys_that_are_none_are_named() {
        fn check(change: impl Fn(&mut DeviceFile), expected: &str) {
            let mut file = DeviceFile::of(&device());
            change(&mut file);
            let fault = file.device().unwrap_err().to_string();
            assert!(fault.starts_with(expected), "{fault}");
        }
        check(|file| file.private_key = "c2hvcnQ=".to_owned(), "private_key is no Ed25519 key");
        check(|file| file.private_key = "!".to_owned(), "private_key is no Ed25519 key");
        check(|file| _ = file.gateway_keys.insert("main".to_owned(), "a".to_owned()), "\"a\" is no Ed25519 key");
    }

    #[test]
    fn public_keys_are_base64_or_pem() {
        let key = SigningKey::from_bytes(&[7; 32]).verifying_key();
        let pem = key.to_public_key_pem(LineEnding::LF).unwrap();
        for text in [STANDARD.encode(key.as_bytes()), pem] {
            assert_eq!(parse_public_key(&text).unwrap(), key);
        }
    }
}
