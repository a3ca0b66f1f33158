//! The scripts, as they are sent.

/// The text of each script.
#[derive(Debug, Clone)]
pub struct Scripts {
    /// Reserves and spends.
    pub claim: String,
    /// Gives back what was spent.
    pub refund: String,
    /// Tells and hears of instances.
    pub heartbeat: String,
}

impl Default for Scripts {
    fn default() -> Self {
        Self {
            claim: concat!(include_str!("state.lua"), include_str!("window.lua"), include_str!("claim.lua")).to_owned(),
            refund: concat!(include_str!("window.lua"), include_str!("refund.lua")).to_owned(),
            heartbeat: concat!(include_str!("state.lua"), include_str!("heartbeat.lua")).to_owned(),
        }
    }
}

/// Which script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Script {
    Claim,
    Refund,
    Heartbeat,
}

impl Script {
    pub(super) const ALL: [Self; 3] = [Self::Claim, Self::Refund, Self::Heartbeat];

    pub(super) fn text(self, scripts: &Scripts) -> &str {
        match self {
            Self::Claim => &scripts.claim,
            Self::Refund => &scripts.refund,
            Self::Heartbeat => &scripts.heartbeat,
        }
    }
}
