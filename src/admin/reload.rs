//! Takes up the configuration as it is in its file now.

use super::{Page, nobody, plain};
use crate::{
    config,
    proxy::Gateway,
    vitals::{Foreseen, ReloadOutcome, SourceFile, Terms},
    wire::lists::elements,
};
use filters::api::{Reason, Refusal};
use http::{HeaderMap, header::IF_MATCH};
use serde::Serialize;

/// What is said with the file that it is said of: whoever names a file can see whether the gateway runs that.
#[derive(Serialize)]
struct OfFile<T> {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<SourceFile>,
    #[serde(flatten)]
    said: T,
}

#[derive(Serialize)]
struct Next {
    #[serde(flatten)]
    foreseen: Foreseen,
    /// What came of the last reload that did something, or was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<ReloadOutcome>,
}

/// What a reload would do now: 200, or 422 where the configuration cannot be used.
pub(super) async fn foresee(gateway: &Gateway) -> Result<Page, Refusal> {
    let foreseen = gateway.reloads.foresee().await.ok_or_else(|| nobody(gateway))?;
    let file = source_file(gateway).await;
    Ok(match foreseen {
        Ok(foreseen) => {
            let revision = Some(foreseen.revision.clone());
            let said = Next { foreseen, last: gateway.reloads.last() };
            Page { status: 200, revision, ..plain(&OfFile { file, said }) }
        }
        Err(said) => Page { status: 422, ..plain(&OfFile { file, said }) },
    })
}

async fn source_file(gateway: &Gateway) -> Option<SourceFile> {
    let path = gateway.reloads.file()?.to_owned();
    tokio::task::spawn_blocking(move || SourceFile::look(&path, config::read_file)).await.ok()
}

/// Has it read again, and says what came of it: 200 where it is in force, 412 where another was in force than
/// `If-Match` says (RFC 9110 section 13.1.1), 422 where it was not taken up. The query
/// `force` has it end any number of streams.
pub(super) async fn reload(gateway: &Gateway, query: Option<&str>, headers: &HeaderMap) -> Result<Page, Refusal> {
    let tag = |tag: &[u8]| String::from_utf8_lossy(tag).trim_matches('"').to_owned();
    let tags: Vec<String> = elements(headers, &IF_MATCH).map(tag).collect();
    // Any revision is one of `*`.
    let is_any = !headers.contains_key(IF_MATCH) || tags.iter().any(|tag| tag == "*");
    let if_match = (!is_any).then_some(tags);
    let is_forced = match query {
        None | Some("") => false,
        Some("force") => true,
        Some(_) => return Err(Refusal::because(Reason::RequestMalformed, "the query is `force` or none")),
    };
    let outcome = gateway.reloads.ask(Terms { if_match, is_forced }).await.ok_or_else(|| nobody(gateway))?;
    let (status, revision) = match &outcome {
        ReloadOutcome::Reloaded { revision } | ReloadOutcome::Unchanged { revision } => (200, revision),
        ReloadOutcome::Outdated { revision } => (412, revision),
        ReloadOutcome::Refused { revision, .. } => (422, revision),
    };
    Ok(Page { status, revision: Some(revision.clone()), ..plain(&outcome) })
}
