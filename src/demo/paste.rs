//! Lines to paste into another terminal while the demo stays up.

use super::{Gateway, Narrator, Stage};
use crate::client::{Command, Device, DeviceFile};
use std::{borrow::Cow, error::Error, fmt::Display, io};

/// What the lines speak of.
pub(super) struct Paste<'a> {
    /// How this program is called in a shell.
    pub(super) program: &'a str,
    pub(super) gateway: &'a Gateway,
    pub(super) stage: &'a Stage,
    /// Whose commands they send.
    pub(super) device: &'a Device,
}

impl Paste<'_> {
    /// Writes the device file, and prints the lines.
    ///
    /// # Errors
    /// Where it cannot be written, or no command be signed.
    pub(super) fn show(&self, narrator: &mut Narrator) -> Result<(), Box<dyn Error>> {
        DeviceFile::of(self.device).save(&self.stage.device_file())?;
        let mut told = |title, lines: &[Line]| {
            narrator.chapter(title);
            lines.iter().for_each(|(what, line)| narrator.line(&format!("\n  # {what}\n  {line}")));
        };
        told("Now you: the gateway stays up; mails are printed here", &self.requests()?);
        told("Its file is yours to change: what is saved is taken up, and told here", &self.changes());
        told("At the end the device signs out", &[self.sign_out()]);
        narrator.line("\nCtrl-C ends it, and removes the files.");
        Ok(())
    }

    fn caller(&self) -> String {
        format!("--to {} --device {}", self.gateway.edge, quoted(&self.stage.device_file().display()))
    }

    fn call(&self) -> String {
        format!("{} call {}", quoted(&self.program), self.caller())
    }

    fn requests(&self) -> io::Result<Vec<Line>> {
        let Gateway { public, edge, admin } = self.gateway;
        let (device, call) = (self.device, self.call());
        Ok(vec![
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
            ("the device's events, as they come", format!("{} events tail {}", quoted(&self.program), self.caller())),
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
        ])
    }

    fn changes(&self) -> Vec<Line> {
        let file = quoted(&self.stage.config_file().display());
        vec![
            ("by hand", format!("${{EDITOR:-vi}} {file}")),
            (
                "for instance a smaller budget: of the flood, 5 commands pass instead of 40",
                format!("sed -i 's|40/10s|5/10s|' {file}"),
            ),
            ("a slip is refused with its line, and nothing changes", format!("sed -i 's|^routes:|rotues:|' {file}")),
            ("what is in force, whatever the file holds", format!("curl -s {}/config", self.gateway.admin)),
        ]
    }

    fn sign_out(&self) -> Line {
        let call = self.call();
        ("its streams end, and what is in flight, so perhaps this call too", format!("{call} user.session.revoke"))
    }
}

/// What it does, and how it is typed.
type Line = (&'static str, String);

/// A request in JSON, which a shell can paste: base64 has no quote in it.
fn signed_curl(curl: &str, url: &str, device: &Device, message_type: &str) -> io::Result<String> {
    let request = device.sign(&Command::new(message_type, "").map_err(io::Error::other)?);
    let body = serde_json::to_string(&request).map_err(io::Error::other)?;
    Ok(format!("{curl} {url} -H 'content-type: application/json' -d '{body}'"))
}

/// One word to a shell.
fn quoted(word: &dyn Display) -> String {
    let word = word.to_string();
    // What cannot be quoted has a NUL in it, which no path has.
    shlex::try_quote(&word).map_or_else(|_| word.clone(), Cow::into_owned)
}
