//! The admin pages: life signs, metrics, the running configuration, its reload, upgrades, budgets. Served on loopback
//! listeners only, which the configuration's checks see to.

mod budgets;
mod reload;
mod upgrade;

use crate::{
    events::feed::Link,
    plan::SharedStore,
    proxy::{self, Gateway, context::RequestContext, reply},
    store::redis::Status,
    vitals::ReloadOutcome,
};
use bytes::Bytes;
use filters::api::{MediaType, Reason, Refusal};
use http::{
    HeaderMap, Method,
    header::{CONTENT_TYPE, ETAG, ORIGIN},
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
    let path = header.uri.path().to_owned();
    let page = match (&header.method, path.strip_prefix("/budgets/")) {
        // What a page of another origin may send without asking first (the Fetch standard's simple requests), from the
        // browser of whoever can reach this address. Browsers say so with every POST, command lines never.
        (&Method::POST, _) if header.headers.contains_key(ORIGIN) => {
            Err(Refusal::because(Reason::OriginForbidden, "nothing is done here for a page in a browser"))
        }
        (&Method::POST, _) if path == "/upgrade" => upgrade::upgrade(gateway).await,
        (&Method::POST, _) if path == "/reload" => reload::reload(gateway, header.uri.query(), &header.headers).await,
        (&Method::GET | &Method::HEAD, _) if path == "/reload" => reload::foresee(gateway).await,
        (&Method::GET | &Method::HEAD, _) => page(gateway, ctx, &path),
        (&Method::PATCH, Some(_)) if !is_json(&header.headers) => {
            Err(Refusal::because(Reason::MediaTypeUnsupported, "send application/json"))
        }
        (&Method::PATCH, Some(name)) => change(session, ctx, name).await?,
        (_, budget) => {
            let allow = match budget {
                Some(_) => "GET, HEAD, PATCH",
                None if path == "/reload" => "GET, HEAD, POST",
                None if path == "/upgrade" => "POST",
                None => "GET, HEAD",
            };
            Err(Refusal { allow: Some(allow.to_owned()), ..Refusal::new(Reason::MethodNotAllowed) })
        }
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
        "/upgrade" => {
            return Err(Refusal { allow: Some("POST".to_owned()), ..Refusal::new(Reason::MethodNotAllowed) });
        }
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
        _ => match path.strip_prefix("/budgets/") {
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
    Ready { ready: reasons.is_empty(), reasons, stores, reload: gateway.reloads.last() }
}

async fn change(session: &mut Session, ctx: &RequestContext, name: &str) -> Result<std::result::Result<Page, Refusal>> {
    let limits = &ctx.plan.loaded.config.connections;
    let body = proxy::read_body(session, budgets::CHANGE_BYTES_MAX, limits, Reason::BodyTooLarge).await?;
    Ok(body.and_then(|body| budgets::change(&ctx.plan.budgets, name, &body, ctx.client_ip)))
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
