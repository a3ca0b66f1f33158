//! The opening handshake (RFC 6455 section 4.2).

use crate::{
    listener::head::HeadRefusal,
    plan::subscriptions::Origins,
    proxy::{context::RequestContext, may_switch},
    wire::lists::elements,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use filters::api::{HeaderEdits, Reason, Refusal};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version,
    header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE},
};
use pingora_core::Result;
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;
use tungstenite::handshake::derive_accept_key;

const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
const VERSION: &str = "13";
/// What a key decodes to.
const KEY_BYTES: usize = 16;

/// Holds a request against what a handshake must be. With a refusal goes what would be one, as an edit of the answer.
/// Gives the answer to its key.
///
/// # Errors
/// 405, 505, 426, 400, or 403 for a page of another origin.
pub fn check(
    session: &mut Session,
    ctx: &mut RequestContext,
    origins: &Origins,
) -> std::result::Result<String, HeadRefusal> {
    let has_body = !session.as_downstream_mut().is_body_empty();
    let may_switch = may_switch(session);
    check_head(session.req_header(), ctx, origins, may_switch, has_body)
}

/// The same of a head, whose connection may switch protocols or not.
///
/// # Errors
/// The same.
pub fn check_head(
    header: &RequestHeader,
    ctx: &mut RequestContext,
    origins: &Origins,
    may_switch: bool,
    has_body: bool,
) -> std::result::Result<String, HeadRefusal> {
    let host = ctx.client_host(&header.uri, &header.headers);
    let answer = &mut ctx.facts.downstream_headers;
    if header.method != Method::GET {
        let refusal = Refusal::because(Reason::MethodNotAllowed, "a WebSocket begins with GET");
        return Err(Refusal { allow: Some("GET".to_owned()), ..refusal }.into());
    }
    if header.version == Version::HTTP_2 {
        // RFC 8441 is not to be had with Pingora 0.9.1, and its setting is not sent.
        return Err(HeadRefusal::version("a WebSocket begins in HTTP/1.1 here"));
    }
    if !may_switch || !asks(&header.headers, &UPGRADE, "websocket") {
        return Err(required(answer, "ask for it with `Upgrade: websocket` and `Connection: Upgrade`"));
    }
    if header.headers.get_all(SEC_WEBSOCKET_VERSION).iter().ne([VERSION]) {
        return Err(required(answer, "only version 13 of the WebSocket protocol is spoken"));
    }
    let malformed = |answer: &mut HeaderEdits, what| {
        answer.set(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
        Err(HeadRefusal::malformed(what))
    };
    let mut keys = header.headers.get_all(SEC_WEBSOCKET_KEY).iter();
    let key = match (keys.next(), keys.next()) {
        (Some(key), None) if STANDARD.decode(key).is_ok_and(|key| key.len() == KEY_BYTES) => key,
        _ => return malformed(answer, "Sec-WebSocket-Key is not 16 bytes in base64"),
    };
    if has_body || header.headers.contains_key(TRANSFER_ENCODING) {
        return malformed(answer, "a handshake has no body");
    }
    if !origins.allow(&header.headers, host.as_ref().and_then(|host| host.to_str().ok()).unwrap_or_default()) {
        return Err(Refusal::new(Reason::OriginForbidden).into());
    }
    Ok(derive_accept_key(key.as_bytes()))
}

/// 101. No extension and no subprotocol is taken.
///
/// # Errors
/// Where the head cannot be made.
pub fn answer(accept: &str) -> Result<ResponseHeader> {
    let mut answer = ResponseHeader::build(StatusCode::SWITCHING_PROTOCOLS, Some(8))?;
    answer.insert_header(UPGRADE, WEBSOCKET)?;
    answer.insert_header(CONNECTION, "Upgrade")?;
    answer.insert_header(SEC_WEBSOCKET_ACCEPT, accept)?;
    Ok(answer)
}

/// 426 (RFC 9110 section 15.5.22): with what the route speaks.
fn required(answer: &mut HeaderEdits, what: &'static str) -> HeadRefusal {
    answer.set(UPGRADE, WEBSOCKET);
    answer.set(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
    HeadRefusal { status: 426, refusal: Refusal::because(Reason::RequestMalformed, what) }
}

fn asks(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    elements(headers, name).any(|element| element.eq_ignore_ascii_case(token.as_bytes()))
}
