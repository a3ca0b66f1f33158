//! The first run: a stand-in backend, and the story that is walked with it.

pub mod backend;
mod folder;
mod narrator;
mod news;
mod paste;
mod stage;
mod story;

pub use narrator::Narrator;
pub use news::News;
pub use stage::{Ports, Stage};
pub use story::{Failed, Gateway, tell};

use backend::{Mail, Mailbox};
use paste::Paste;

/// What the demo's gateway begins with; [`Stage::variable`] has its variables.
pub const GATEWAY_YAML: &str = include_str!("gateway.yaml");

/// Tells the story on a running gateway. Then, where there are `news` to wait for, prints lines to paste, and from then
/// on the mails of the backend and what becomes of the gateway's configuration.
///
/// # Errors
/// At the first step of the story that does not hold; it has been printed.
pub async fn perform(
    stage: &Stage,
    mailbox: &mut Mailbox,
    gateway: &Gateway,
    narrator: &mut Narrator,
    news: Option<News>,
) -> Result<(), Failed> {
    let device = tell(stage, mailbox, gateway, narrator).await?;
    let Some(mut news) = news else { return Ok(()) };
    let program =
        std::env::args_os().next().map_or_else(|| "portcullis".to_owned(), |name| name.to_string_lossy().into_owned());
    let paste = Paste { program: &program, gateway, stage, device: &device };
    paste.show(narrator).map_err(|fault| Failed::fault("lines to paste", &fault))?;
    loop {
        tokio::select! {
            Some(Mail { to, challenge_id, code }) = mailbox.recv() => {
                narrator.line(&format!("  mail to {to}: the code for {challenge_id} is {code}"));
            }
            Some(outcome) = news.next() => news.tell(&outcome, narrator),
            else => return Ok(()),
        }
    }
}
