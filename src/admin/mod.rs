//! The admin pages: life signs, metrics, the running configuration. Served on loopback listeners only, which
//! the configuration's checks see to.

use crate::proxy::{Gateway, context::RequestContext, reply};
use bytes::Bytes;
use filters::api::{Reason, Refusal};
use http::{Method, header::CONTENT_TYPE};
use pingora_core::Result;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

const JSON: &str = "application/json";

/// Answers one request.
///
/// # Errors
/// Where the client has gone.
pub async fn answer(gateway: &Gateway, session: &mut Session, ctx: &mut RequestContext) -> Result<()> {
    let header = session.req_header();
    if !matches!(header.method, Method::GET | Method::HEAD) {
        let refusal = Refusal { allow: Some("GET, HEAD".to_owned()), ..Refusal::new(Reason::MethodNotAllowed) };
        return gateway.refuse(session, ctx, &refusal).await.map(drop);
    }
    let (status, media_type, body) = match header.uri.path() {
        "/livez" => (200, JSON, br#"{"alive":true}"#.to_vec()),
        "/readyz" => {
            let reasons = gateway.readiness.reasons();
            let body = serde_json::json!({ "ready": reasons.is_empty(), "reasons": reasons });
            (if reasons.is_empty() { 200 } else { 503 }, JSON, body.to_string().into_bytes())
        }
        "/metrics" => (200, "text/plain; version=0.0.4; charset=utf-8", gateway.metrics.render()),
        "/config" => (200, "application/yaml", ctx.plan.loaded.masked().into_bytes()),
        _ => return gateway.refuse(session, ctx, &Refusal::new(Reason::RouteUnknown)).await.map(drop),
    };
    let mut answer = ResponseHeader::build(status, Some(4))?;
    answer.insert_header(CONTENT_TYPE, media_type)?;
    reply::write(session, answer, Bytes::from(body)).await
}
