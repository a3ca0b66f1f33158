//! Lines to paste into another terminal while the demo stays up.

use super::{Gateway, Narrator};
use crate::client::{Command, Device, DeviceFile, DeviceFileFault};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The lines, and the device file that they name. The file is removed when this is dropped.
#[derive(Debug)]
pub(super) struct Paste {
    device_file: PathBuf,
}

impl Drop for Paste {
    fn drop(&mut self) {
        // It is gone already where somebody tidied up.
        let _ = fs::remove_file(&self.device_file);
    }
}

impl Paste {
    /// Writes the device file.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(super) fn prepare(device: &Device) -> Result<Self, DeviceFileFault> {
        let device_file = std::env::temp_dir().join(format!("portcullis-demo-{}.json", std::process::id()));
        DeviceFile::of(device).save(&device_file)?;
        Ok(Self { device_file })
    }

    /// Prints the lines. `program` is how this program is called in a shell.
    ///
    /// # Errors
    /// Where no command can be signed.
    pub(super) fn show(
        &self,
        program: &str,
        gateway: &Gateway,
        device: &Device,
        narrator: &mut Narrator,
    ) -> io::Result<()> {
        let Gateway { public, edge, admin } = gateway;
        let caller = format!("--to {edge} --device {}", shown(&self.device_file));
        let call = format!("{program} call {caller}");
        narrator.chapter("Now you: the gateway stays up; mails are printed here");
        for (what, line) in [
            (
                "ask for a sign-in code",
                format!(
                    "curl -i {public}/api/v1/public/auth/send-email-code -H 'content-type: application/json' \
                     -d '{{\"email\":\"you@example.org\"}}'"
                ),
            ),
            (
                "a signed command, good for a minute, and once",
                signed_curl("curl -i", &format!("{edge}/edge.v1.Gateway/ExecuteCommand"), device, "user.account.get")?,
            ),
            ("signed anew each time, the answer verified", format!("{call} user.account.get")),
            ("the keys that answers verify with", format!("curl -s {public}/.well-known/jwks.json")),
            ("over gRPC, with a payload", format!("{call} --protocol grpc user.games.open '{{\"title\":\"Go\"}}'")),
            ("the same request twice", format!("{call} --repeat-id user.account.get")),
            ("the device's events, as they come", format!("{program} events tail {caller}")),
            (
                "the same as server-sent events, asked for within a minute, and once",
                signed_curl("curl -iN", &format!("{edge}/events/sse"), device, "gateway.subscribe")?,
            ),
            (
                "something to hear of, from another terminal",
                format!("{call} user.account.rename '{{\"display_name\":\"Augusta\"}}'"),
            ),
            ("a flood", format!("{call} --times 60 user.account.get")),
            ("a captured command, too late", format!("{call} --timestamp -120s user.account.get")),
            ("what the gateway counted", format!("curl -s {admin}/metrics")),
            (
                "the device signs out: its streams end, and what is in flight, so perhaps this call too",
                format!("{call} user.session.revoke"),
            ),
        ] {
            narrator.line(&format!("\n  # {what}\n  {line}"));
        }
        narrator.line("\nCtrl-C ends it.");
        Ok(())
    }
}

/// A request in JSON, which a shell can paste: base64 has no quote in it.
fn signed_curl(curl: &str, url: &str, device: &Device, message_type: &str) -> io::Result<String> {
    let request = device.sign(&Command::new(message_type, "").map_err(io::Error::other)?);
    let body = serde_json::to_string(&request).map_err(io::Error::other)?;
    Ok(format!("{curl} {url} -H 'content-type: application/json' -d '{body}'"))
}

/// A path as a shell takes it.
fn shown(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}
