//! Whom a command of the shell speaks for, with which gateway, and how.

use super::EXIT_USAGE;
use crate::{
    client::{
        Client, Codec, Device, DeviceFile, Dialect, Endpoint, HttpVersion, KeysUrl, Protocol, Trust, parse_public_key,
    },
    printable,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use filters::api::units::Duration;
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};
use std::{
    error::Error,
    fs,
    io::{self, Write},
    path::PathBuf,
};

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

/// A payload as it is printed.
pub(super) enum Shown {
    /// JSON, on one line, with its digits and keys as they came: no number is read.
    Json(Box<RawValue>),
    /// Anything else, in base64.
    Base64(String),
}

impl Shown {
    pub(super) fn of(payload: &[u8]) -> Self {
        let json = serde_json::from_slice::<&RawValue>(payload).ok();
        let on_one_line = json.and_then(|json| RawValue::from_string(compact(json.get())).ok());
        on_one_line.map_or_else(|| Self::Base64(STANDARD.encode(payload)), Self::Json)
    }

    pub(super) fn json(&self) -> Option<&RawValue> {
        if let Self::Json(json) = self { Some(json) } else { None }
    }

    pub(super) fn base64(&self) -> Option<&str> {
        if let Self::Base64(text) = self { Some(text) } else { None }
    }
}

/// JSON without the white space between its tokens.
fn compact(json: &str) -> String {
    let (mut is_in_string, mut is_escaped) = (false, false);
    let keeps = |c: &char| {
        let is_quote = *c == '"' && !is_escaped;
        let keeps = is_in_string || !matches!(c, ' ' | '\t' | '\n' | '\r');
        is_in_string ^= is_quote;
        is_escaped = is_in_string && *c == '\\' && !is_escaped;
        keeps
    };
    json.chars().filter(keeps).collect()
}

/// Writes a value as one line of JSON that steers no terminal.
pub(super) fn write_json(to: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let json = serde_json::to_string(value)?;
    writeln!(to, "{}", printable::json(&json))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_keeps_every_digit_and_key() {
        for (payload, expected) in [
            ("{ \"a\" : 1 ,\n\t\"b\": [ 1 , 2 ] }", r#"{"a":1,"b":[1,2]}"#),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            ("[9223372036854775808,-0.0,1e400,1E-400,0.10,1.0]", "[9223372036854775808,-0.0,1e400,1E-400,0.10,1.0]"),
            (r#"{"a":1,"a":2}"#, r#"{"a":1,"a":2}"#),
            (r#"{"z":1,"a":"b \" c\\","d":" \\\" "}"#, r#"{"z":1,"a":"b \" c\\","d":" \\\" "}"#),
        ] {
            let shown = Shown::of(payload.as_bytes());
            assert_eq!(shown.json().map(RawValue::get), Some(expected), "{payload}");
        }
        for (payload, expected) in [(&b"no json"[..], "bm8ganNvbg=="), (b"\xff", "/w=="), (b"", "")] {
            assert_eq!(Shown::of(payload).base64(), Some(expected));
        }
    }

    #[test]
    fn what_is_written_steers_no_terminal() {
        let mut written = Vec::new();
        let payload = Shown::of("\"\u{9b}31m\u{202e}\"".as_bytes());
        write_json(&mut written, &payload.json()).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), "\"\\u009b31m\\u202e\"\n");
    }
}
