//! The first run: a stand-in backend, and the story that is walked with it.

pub mod backend;
mod narrator;
mod paste;
mod stage;
mod story;

pub use narrator::Narrator;
pub use stage::{Ports, Stage};
pub use story::{Failed, Gateway, tell};

use backend::Mailbox;
use paste::Paste;

/// The configuration of the demo's gateway; [`Stage::variable`] has its variables.
pub const GATEWAY_YAML: &str = include_str!("gateway.yaml");

/// Tells the story on a running gateway. Then, where there is a `stop` to wait for, prints lines to paste and the
/// mails of the backend until it comes.
///
/// # Errors
/// At the first step of the story that does not hold; it has been printed.
pub async fn perform(
    stage: &mut Stage,
    gateway: &Gateway,
    narrator: &mut Narrator,
    stop: Option<impl Future<Output = ()>>,
) -> Result<(), Failed> {
    let device = tell(stage, gateway, narrator).await?;
    let Some(stop) = stop else { return Ok(()) };
    let step = "lines to paste";
    let paste = Paste::prepare(&device).map_err(|fault| Failed::fault(step, &fault))?;
    let program = std::env::args().next().unwrap_or_else(|| "portcullis".to_owned());
    paste.show(&program, gateway, &device, narrator).map_err(|fault| Failed::fault(step, &fault))?;
    tokio::select! {
        () = stop => {}
        () = deliver(&mut stage.mailbox, narrator) => {}
    }
    Ok(())
}

async fn deliver(mailbox: &mut Mailbox, narrator: &mut Narrator) {
    while let Some(mail) = mailbox.recv().await {
        let backend::Mail { to, challenge_id, code } = mail;
        narrator.line(&format!("  mail to {to}: the code for {challenge_id} is {code}"));
    }
}
