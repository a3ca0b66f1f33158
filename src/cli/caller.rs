//! Whom a command of the shell speaks for, with which gateway, and how.

use super::EXIT_USAGE;
use crate::client::{
    Client, Codec, Device, DeviceFile, Dialect, Endpoint, HttpVersion, KeysUrl, Protocol, Trust, parse_public_key,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use filters::api::units::Duration;
use serde_json::{Map, Value, json};
use std::{error::Error, fs, path::PathBuf};

/// What every command that signs is told.
#[derive(Debug, clap::Args)]
pub(super) struct CallerArgs {
    /// The gateway's edge listener
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9090")]
    pub(super) to: Endpoint,
    /// The protocol to speak
    #[arg(long, value_enum, default_value = "connect")]
    protocol: Protocol,
    /// How messages are written
    #[arg(long, value_enum, default_value = "proto")]
    codec: Codec,
    /// The HTTP version; gRPC is always HTTP/2
    #[arg(long, value_enum, default_value = "1.1")]
    http: HttpVersion,
    /// JSON file with the device's session, its private key and the gateway's public keys
    #[arg(long, value_name = "FILE")]
    device: PathBuf,
    /// Verify with this key instead of those in the device file
    #[arg(long, value_name = "BASE64|FILE")]
    gateway_key: Option<String>,
    /// Verify with the keys that the gateway publishes here instead of those in the device file
    #[arg(long, value_name = "URL", conflicts_with = "gateway_key")]
    gateway_keys: Option<KeysUrl>,
    /// PEM file of the authorities to trust on https:// instead of the system's
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// How long an answer may take
    #[arg(long, default_value = "10s")]
    deadline: Duration,
}

/// Who speaks.
pub(super) struct Caller {
    pub(super) device: Device,
    pub(super) client: Client,
    pub(super) dialect: Dialect,
}

/// How a command ended, from good to bad; the number is the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ExitKind {
    Verified = 0,
    Failed = 1,
    Usage = EXIT_USAGE as isize,
    Unverified = 3,
}

/// Why nobody can speak: how the command ends, and what to say of it.
pub(super) type Unprepared = (ExitKind, Value);

/// What a command line that cannot be followed comes to.
pub(super) fn misused(fault: &dyn Error) -> Unprepared {
    (ExitKind::Usage, json!({ "usage": fault.to_string() }))
}

impl CallerArgs {
    /// The device, a client that trusts whom it should, and the way to speak.
    ///
    /// # Errors
    /// Where a file or a key cannot be used, or the gateway's keys cannot be had.
    pub(super) async fn caller(&self) -> Result<Caller, Unprepared> {
        let (mut device, client) = self.given().map_err(|fault| misused(&*fault))?;
        if let Some(url) = &self.gateway_keys {
            let keys = client.gateway_keys(url).await;
            device.gateway_keys = keys.map_err(|fault| (ExitKind::Failed, json!({ "failed": fault.to_string() })))?;
        }
        let dialect = Dialect { protocol: self.protocol, codec: self.codec, http: self.http };
        Ok(Caller { device, client, dialect })
    }

    fn given(&self) -> Result<(Device, Client), Box<dyn Error>> {
        let named = |fault: &dyn Error| format!("{}: {fault}", self.device.display());
        let file = DeviceFile::load(&self.device).map_err(|fault| named(&fault))?;
        let mut device = file.device().map_err(|fault| named(&fault))?;
        if let Some(given) = &self.gateway_key {
            let key = parse_public_key(given)
                .or_else(|fault| fs::read_to_string(given).map_or(Err(fault), |text| parse_public_key(&text)));
            device.gateway_keys.only = Some(key?);
        }
        let trust = match &self.ca {
            Some(file) => Trust::in_file(file)?,
            None if self.to.is_tls() || self.gateway_keys.as_ref().is_some_and(KeysUrl::is_tls) => {
                Trust::of_the_system()?
            }
            None => Trust::nobody(),
        };
        Ok((device, Client::new(self.deadline.get(), &trust)))
    }
}

/// Adds a payload to what is shown: as it is where it is JSON, otherwise in base64.
pub(super) fn show_payload(shown: &mut Map<String, Value>, payload: &[u8]) {
    let (name, payload) = match serde_json::from_slice(payload) {
        Ok(payload) => ("payload", payload),
        Err(_) => ("payload_base64", Value::from(STANDARD.encode(payload))),
    };
    shown.insert(name.to_owned(), payload);
}
