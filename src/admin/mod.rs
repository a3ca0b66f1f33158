//! The admin pages: life signs, metrics, the running configuration, its reload, upgrades, budgets. Served on loopback
//! listeners only, which the configuration's checks see to.

mod budgets;
mod origin;
mod pages;
mod reload;
mod upgrade;

use crate::{
    events::feed::Link,
    listener::head::HeadRefusal,
    plan::SharedStore,
    proxy::{self, Gateway, context::RequestContext, reply},
    store::redis::Status,
    vitals::ReloadOutcome,
};
use bytes::Bytes;
use filters::api::{MediaType, Reason, Refusal};
use http::{
    HeaderMap, Method,
    header::{CONTENT_TYPE, ETAG},
};
use pingora_core::Result;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use serde::Serialize;
use std::collections::BTreeMap;

const JSON: &str = "application/json";

/// An answer.
struct Page {
    status: u16,
    media_type: &'static str,
    body: Vec<u8>,
    /// Of the configuration, where that is what the page is about.
    revision: Option<String>,
}

/// Answers one request.
///
/// # Errors
/// Where the client has gone.
pub async fn answer(gateway: &Gateway, session: &mut Session, ctx: &mut RequestContext) -> Result<()> {
    let header = session.req_header();
    if let Err(HeadRefusal { status, refusal }) =
        origin::check(proxy::host(&header.uri, &header.headers), &header.headers)
    {
        return gateway.refuse_as(session, ctx, status, &refusal).await.map(drop);
    }
    let path = header.uri.path().to_owned();
    let page = match (&header.method, path.as_str()) {
        (method, path) if !pages::find(path).is_some_and(|known| known.takes(method)) => Err(not_here(path)),
        (&Method::POST, "/upgrade") => upgrade::upgrade(gateway).await,
        (&Method::POST, _) => reload::reload(gateway, header.uri.query(), &header.headers).await,
        (&Method::PATCH, _) if !is_json(&header.headers) => {
            Err(Refusal::because(Reason::MediaTypeUnsupported, "send application/json"))
        }
        (&Method::PATCH, path) => change(gateway, session, ctx, path).await?,
        (_, "/reload") => reload::foresee(gateway).await,
        (_, path) => page(gateway, ctx, path),
    };
    match page {
        Ok(page) => {
            let mut answer = ResponseHeader::build(page.status, Some(4))?;
            answer.insert_header(CONTENT_TYPE, page.media_type)?;
            if let Some(revision) = page.revision {
                answer.insert_header(ETAG, format!("\"{revision}\""))?;
            }
            reply::write(session, answer, Bytes::from(page.body)).await
        }
        Err(refusal) => gateway.refuse(session, ctx, &refusal).await.map(drop),
    }
}

fn page(gateway: &Gateway, ctx: &RequestContext, path: &str) -> std::result::Result<Page, Refusal> {
    Ok(match path {
        "/" => pages::list(),
        "/livez" => plain(&serde_json::json!({ "alive": true })),
        "/readyz" => {
            let readiness = readiness(gateway, ctx);
            let status = if readiness.ready { 200 } else { 503 };
            Page { status, ..plain(&readiness) }
        }
        "/metrics" => {
            let media_type = "text/plain; version=0.0.4; charset=utf-8";
            Page { status: 200, media_type, body: gateway.metrics.render(), revision: None }
        }
        "/config" => Page {
            status: 200,
            media_type: "application/yaml",
            body: ctx.plan.loaded.masked().into_bytes(),
            revision: Some(ctx.plan.revision.to_string()),
        },
        "/budgets" => budgets::all(&ctx.plan.budgets),
        _ => match path.strip_prefix(budgets::FOLDER) {
            Some(name) => budgets::one(&ctx.plan.budgets, name)?,
            None => return Err(Refusal::new(Reason::RouteUnknown)),
        },
    })
}

#[derive(Serialize)]
struct Ready<'a> {
    ready: bool,
    reasons: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    stores: BTreeMap<&'a str, String>,
    /// What else is to be known. It takes nobody out of service.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    /// What came of the last reload. One that was refused takes nobody out of service: what was in force still is.
    #[serde(skip_serializing_if = "Option::is_none")]
    reload: Option<ReloadOutcome>,
}

/// A store that is out of reach is told but takes nobody out of service: it would take all instances at once, and
/// what does without it still works. One that is set up wrong never works.
fn readiness<'a>(gateway: &Gateway, ctx: &'a RequestContext) -> Ready<'a> {
    let mut reasons: Vec<String> = gateway.readiness.reasons().into_iter().map(str::to_owned).collect();
    let mut stores = BTreeMap::new();
    for (name, events) in gateway.events.load().iter() {
        if let Link::Down { why, .. } = events.feed.link() {
            reasons.push(format!("events `{name}` have no feed: {why}"));
        }
    }
    for store in ctx.plan.shared_stores().map(SharedStore::store) {
        let status = store.status();
        if matches!(status, Status::Unfit { .. }) {
            reasons.push(format!("store `{}` is {status}", store.name()));
        }
        stores.insert(store.name(), status.to_string());
    }
    let notes = budgets::notes(&ctx.plan.budgets);
    Ready { ready: reasons.is_empty(), reasons, stores, notes, reload: gateway.reloads.last() }
}

/// What is said of a path that is not there, or not for this method.
fn not_here(path: &str) -> Refusal {
    match pages::find(path) {
        Some(known) => Refusal { allow: Some(known.methods.to_owned()), ..Refusal::new(Reason::MethodNotAllowed) },
        None => Refusal::because(Reason::RouteUnknown, "there is no such path: `GET /` lists those that there are"),
    }
}

async fn change(
    gateway: &Gateway,
    session: &mut Session,
    ctx: &RequestContext,
    path: &str,
) -> Result<std::result::Result<Page, Refusal>> {
    let name = path.strip_prefix(budgets::FOLDER).unwrap_or_default();
    let limits = &ctx.plan.loaded.config.connections;
    let body = proxy::read_body(session, budgets::CHANGE_BYTES_MAX, limits, Reason::BodyTooLarge).await?;
    let now_ms = gateway.clock.unix_ms();
    Ok(body.and_then(|body| budgets::change(&ctx.plan.budgets, name, &body, ctx.client_ip, now_ms)))
}

/// No page of another origin can send this media type without asking first, and nobody answers such a question
/// here.
fn is_json(headers: &HeaderMap) -> bool {
    MediaType::of(headers).is_some_and(|media_type| media_type.essence == JSON && media_type.is_utf_8)
}

/// What is asked for is done by whoever follows the configuration's file.
fn nobody(gateway: &Gateway) -> Refusal {
    if gateway.readiness.is_draining() {
        return Refusal::because(Reason::GatewayShuttingDown, "the gateway stops, and does nothing new");
    }
    Refusal::because(Reason::NotServed, "no file is followed, or others wait for the same")
}

fn plain(value: &impl Serialize) -> Page {
    // Maps with names for keys can always be written.
    Page { status: 200, media_type: JSON, body: serde_json::to_vec(value).unwrap_or_default(), revision: None }
}
