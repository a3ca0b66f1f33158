//! What those who serve note of the process, and what is asked of it: readiness, activity, open streams, reloads,
//! upgrades. Whoever leads the process reads it, and answers.

mod activity;
mod foreseen;
mod inbox;
mod last_call;
mod readiness;
mod reloads;
pub mod streams;
mod upgrades;

pub use activity::Activity;
pub use foreseen::Foreseen;
pub use last_call::LastCall;
pub use readiness::Readiness;
pub use reloads::{ReloadOutcome, Reloads, SourceFile, Terms};
pub use upgrades::{Upgrade, Upgrades};

pub(crate) use foreseen::{SHARE_OF_STREAMS, window};
pub(crate) use readiness::DRAINING;
pub(crate) use reloads::Order;
