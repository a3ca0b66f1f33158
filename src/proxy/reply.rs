//! Answers that the gateway writes itself on plain HTTP, refusals first of all.

use super::{context::RequestContext, hops};
use crate::listener::problem;
use bytes::Bytes;
use filters::api::{Facts, Refusal};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode, Version,
    header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, RETRY_AFTER, TRANSFER_ENCODING},
};
use pingora_core::{Error, Result};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use std::{mem, time::Duration};

const RATE_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const RATE_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RATE_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// What even a slow client takes within the time of one write.
pub(super) const PART_BYTES: usize = 64 << 10;
/// How long a client that has its answer may take to finish its body.
const LINGER: Duration = Duration::from_secs(2);

/// Adds what every answer carries, whoever wrote it: budgets, request id, CORS, the filters' edits.
pub fn add_common(facts: &Facts, headers: &mut HeaderMap) {
    if let Some(rate) = facts.rate {
        headers.insert(RATE_LIMIT, HeaderValue::from(rate.limit));
        headers.insert(RATE_REMAINING, HeaderValue::from(rate.remaining));
        headers.insert(RATE_RESET, HeaderValue::from(rate.reset_seconds));
    }
    facts.downstream_headers.apply_to(headers);
}

/// Adds what every answer carries to one that is about to be written.
///
/// # Errors
/// Where its reason phrase is none.
pub fn finish(facts: &Facts, answer: &mut ResponseHeader) -> Result<()> {
    edit(answer, |headers| add_common(facts, headers))
}

/// Makes a backend's answer ours.
///
/// # Errors
/// Where its reason phrase is none.
pub fn pass_on(session: &mut Session, ctx: &RequestContext, answer: &mut ResponseHeader) -> Result<()> {
    if answer.status.is_informational() || answer.status == StatusCode::NO_CONTENT {
        // RFC 9112 section 6.1 and RFC 9110 section 8.6: they have no body, and must not speak of one.
        answer.remove_header(&TRANSFER_ENCODING);
        answer.remove_header(&CONTENT_LENGTH);
    }
    if answer.status.is_informational() && !ctx.is_upgraded {
        return edit(answer, |headers| hops::strip(headers, false));
    }
    let is_http10 = session.req_header().version == Version::HTTP_10;
    if is_http10 && answer.headers.contains_key(TRANSFER_ENCODING) {
        // RFC 9112 section 6.1: such a client would take chunk sizes for content. The answer ends with the
        // connection instead.
        session.set_keepalive(None);
    }
    let keeps_upgrade = ctx.is_upgraded || answer.status == StatusCode::UPGRADE_REQUIRED;
    edit(answer, |headers| {
        hops::strip(headers, keeps_upgrade);
        if is_http10 {
            headers.remove(TRANSFER_ENCODING);
        }
        add_common(&ctx.facts, headers);
    })
}

fn edit(answer: &mut ResponseHeader, change: impl FnOnce(&mut HeaderMap)) -> Result<()> {
    let canonical = answer.status.canonical_reason();
    let own_reason = answer.get_reason_phrase().filter(|reason| Some(*reason) != canonical).map(str::to_owned);
    // Plain parts, because each insertion through Pingora's type keeps the name's spelling in a second map.
    let empty = ResponseHeader::build_no_case(answer.status, Some(0))?;
    let mut parts = http::response::Parts::from(mem::replace(answer, empty));
    change(&mut parts.headers);
    *answer = ResponseHeader::from(parts);
    match own_reason {
        Some(reason) => answer.set_reason_phrase(Some(&reason)),
        None => Ok(()),
    }
}

/// Gives a request that was stopped ahead of its `request_id` filter an id: every refusal can be found in the log.
pub fn ensure_request_id(ctx: &mut RequestContext) {
    if ctx.facts.request_id.is_none() {
        let id = filters::request_id::fresh(ctx.started_ms);
        ctx.facts.downstream_headers.set(X_REQUEST_ID, id.clone());
        ctx.facts.request_id = Some(id);
    }
}

/// Writes a refusal as a problem document (RFC 9457).
///
/// # Errors
/// Where the client has gone.
pub async fn refuse(session: &mut Session, ctx: &mut RequestContext, status: u16, refusal: &Refusal) -> Result<()> {
    let (answer, body) = problem(ctx, status, refusal)?;
    write(session, answer, body).await
}

/// The problem document that says a refusal, and its head.
///
/// # Errors
/// Where the status is none.
pub fn problem(ctx: &mut RequestContext, status: u16, refusal: &Refusal) -> Result<(ResponseHeader, Bytes)> {
    ctx.note_refusal(refusal);
    ensure_request_id(ctx);
    let request_id = ctx.facts.request_id.as_ref().and_then(|id| id.to_str().ok()).unwrap_or_default();
    let body = Bytes::from(problem::render_as(status, refusal, request_id));
    let mut answer = ResponseHeader::build(status, Some(8))?;
    answer.insert_header(CONTENT_TYPE, problem::MEDIA_TYPE)?;
    answer.insert_header(CACHE_CONTROL, "no-store")?;
    if let Some(seconds) = refusal.retry_after_seconds {
        answer.insert_header(RETRY_AFTER, seconds)?;
    }
    if let Some(allow) = &refusal.allow {
        answer.insert_header(ALLOW, allow.as_str())?;
    }
    finish(&ctx.facts, &mut answer)?;
    Ok((answer, body))
}

/// Writes the answer of a filter: a status without a body.
///
/// # Errors
/// Where the client has gone.
pub async fn answer(session: &mut Session, ctx: &RequestContext, status: StatusCode) -> Result<()> {
    let mut answer = ResponseHeader::build(status, Some(8))?;
    finish(&ctx.facts, &mut answer)?;
    write(session, answer, Bytes::new()).await
}

/// Has the rest of a request's body read and dropped for a moment once the answer is written, instead of closing on a
/// client that still sends it: most clients take a write that fails for the outcome, and never read the answer. One
/// that waits to be asked for its body (RFC 9110 section 10.1.1) is not held to sending it: there the connection closes.
pub fn outlast_body(session: &mut Session) {
    session.set_total_drain_timeout(Some(LINGER));
    let waits = session.req_header().headers.contains_key(EXPECT);
    session.set_close_on_response_before_downstream_finish(waits);
}

/// Writes the head of an answer whose end is not known.
///
/// # Errors
/// Where the client has gone.
pub async fn begin(session: &mut Session, mut head: ResponseHeader) -> Result<()> {
    outlast_body(session);
    match session.req_header().version {
        Version::HTTP_2 => {}
        // RFC 9112 section 6.1: such a client would take chunk sizes for content. The answer ends with the connection.
        Version::HTTP_10 => session.set_keepalive(None),
        _ => head.insert_header(TRANSFER_ENCODING, "chunked")?,
    }
    session.write_response_header(Box::new(head), false).await
}

/// The same for an answer that is handed over: its connection serves nothing after it, where it is one of HTTP/1.
///
/// # Errors
/// Where the client has gone.
pub async fn begin_last(session: &mut Session, head: ResponseHeader) -> Result<()> {
    session.set_keepalive(None);
    begin(session, head).await
}

/// Writes a piece of an answer in parts. Each has the time that is meant for some progress, so that a slow reader of a
/// large piece is not cut off.
///
/// # Errors
/// Where the client has gone.
pub async fn write_piece(session: &mut Session, mut piece: Bytes, is_last: bool) -> Result<()> {
    while piece.len() > PART_BYTES {
        let part = piece.split_to(PART_BYTES);
        session.write_response_body(Some(part), false).await.map_err(Error::into_down)?;
    }
    session.write_response_body(Some(piece), is_last).await.map_err(Error::into_down)
}

/// Writes an answer with a complete body.
///
/// # Errors
/// Where the client has gone.
pub async fn write(session: &mut Session, mut answer: ResponseHeader, body: Bytes) -> Result<()> {
    let is_head = session.req_header().method == http::Method::HEAD;
    // RFC 9110 section 8.6: a 204 must not have a length, and a 304 none but that of the 200 in its place.
    if !matches!(answer.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        answer.insert_header(CONTENT_LENGTH, body.len())?;
    }
    outlast_body(session);
    let has_body = !body.is_empty() && !is_head;
    session.write_response_header(Box::new(answer), !has_body).await?;
    if has_body {
        session.write_response_body(Some(body), true).await?;
    }
    Ok(())
}
