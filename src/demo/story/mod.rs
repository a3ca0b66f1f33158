//! The story: a device signs in, its commands are answered, what is not its own is refused, and it is told of events.
//!
//! Every step holds what came against what CONTRACT promises, so a story told to its end is a passed test.

mod commands;
mod events;
mod expect;
mod flood;
mod outside;
mod refusals;
mod sign_in;

use super::{Narrator, Stage, backend::Backend, backend::Mailbox};
use crate::client::{Client, Device, Endpoint};
use ed25519_dalek::VerifyingKey;

/// Where the demo's gateway listens.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// The public listener.
    pub public: Endpoint,
    /// The edge listener.
    pub edge: Endpoint,
    /// The admin listener.
    pub admin: Endpoint,
}

/// A step that went otherwise than promised.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{step}\n      expected: {expected}\n      came:     {came}")]
pub struct Failed {
    /// What was tried.
    pub step: String,
    /// What should have come.
    pub expected: String,
    /// What came.
    pub came: String,
}

/// What the steps share.
struct Story<'a> {
    gateway: &'a Gateway,
    gateway_key: VerifyingKey,
    backend: &'a Backend,
    mailbox: &'a mut Mailbox,
    narrator: &'a mut Narrator,
    client: Client,
}

/// Tells the whole story on a running gateway. Gives the device that signed in, whose session stays good.
///
/// # Errors
/// At the first step that does not hold; it has been printed.
pub async fn tell(
    stage: &Stage,
    mailbox: &mut Mailbox,
    gateway: &Gateway,
    narrator: &mut Narrator,
) -> Result<Device, Failed> {
    let (gateway_key, backend) = (stage.gateway_key(), &stage.backend);
    let mut story = Story { gateway, gateway_key, backend, mailbox, narrator, client: Client::default() };
    let told = story.tell().await;
    if let Err(failed) = &told {
        narrator.failed(failed);
    }
    told
}

impl Story<'_> {
    async fn tell(&mut self) -> Result<Device, Failed> {
        self.narrator.chapter("A device signs in, through the public routes");
        let device = self.sign_in().await?;

        self.narrator.chapter("It sends signed commands and verifies the signed answers");
        self.commands(&device).await?;

        self.narrator.chapter("What is forged, changed, old or sent twice is refused");
        self.refusals(&device).await?;

        self.narrator.chapter("The backend's own doors stay shut from outside");
        self.outside(&device).await?;

        self.narrator
            .chapter("Events are pushed to the user's devices, signed; a stream that is cut goes on where it was");
        self.events(&device).await?;

        self.narrator.chapter("A flood is stopped, and so is a revoked session; others do not notice");
        self.flood(&device).await?;
        Ok(device)
    }
}

#[cfg(test)]
mod tests;
