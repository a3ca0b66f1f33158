//! Has another process take the place of this one.

use super::{Page, nobody, plain};
use crate::{proxy::Gateway, vitals::Upgrade};
use filters::api::Refusal;

/// Says what came of it: 200 where another process serves from here on, 422 where this one serves on.
pub(super) async fn upgrade(gateway: &Gateway) -> Result<Page, Refusal> {
    let outcome = gateway.upgrades.ask().await.ok_or_else(|| nobody(gateway))?;
    let status = if matches!(outcome, Upgrade::Upgraded { .. }) { 200 } else { 422 };
    Ok(Page { status, ..plain(&outcome) })
}
