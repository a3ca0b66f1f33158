//! Takes up the configuration as it is in its file now.

use super::{Page, plain};
use crate::{life::Outcome, proxy::Gateway};
use filters::api::{Reason, Refusal};
use http::{HeaderMap, header::IF_MATCH};

/// Has it read again, and says what came of it: 200 where it is in force, 412 where another was in force than
/// `If-Match` says (RFC 9110 section 13.1.1), 422 where it was not taken up.
pub(super) async fn reload(gateway: &Gateway, headers: &HeaderMap) -> Result<Page, Refusal> {
    let if_match = headers.get(IF_MATCH).and_then(|value| value.to_str().ok());
    // Any revision is one.
    let if_match = if_match.filter(|tag| *tag != "*").map(|tag| tag.trim_matches('"').to_owned());
    let nobody =
        || Refusal::because(Reason::NotServed, "no file is followed, the gateway stops, or others wait for the same");
    let outcome = gateway.reloads.ask(if_match).await.ok_or_else(nobody)?;
    let (status, revision) = match &outcome {
        Outcome::Reloaded { revision } | Outcome::Unchanged { revision } => (200, revision),
        Outcome::Outdated { revision } => (412, revision),
        Outcome::Refused { revision, .. } => (422, revision),
    };
    Ok(Page { status, revision: Some(revision.clone()), ..plain(&outcome) })
}
