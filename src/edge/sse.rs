//! Subscriptions as server-sent events (html.spec.whatwg.org, section 9.2), answered to a POST: a request is signed, and
//! nothing that is belongs in a URL.

use super::{
    deliver::{Heard, Transport, deliver},
    request::SignedRequest,
    subscribe::{events, subscribe},
};
use crate::{
    events::hub::{Encoded, SERVER_TIME, Subscriber},
    plan::{Route, subscriptions::EventTarget},
    proxy::{self, Gateway, context::RequestContext, reply},
    rpc::{Codec, gone, message_bytes_max, run_head},
    wire::Code,
};
use bytes::{BufMut as _, Bytes, BytesMut};
use filters::{
    api::{Reason, Refusal},
    chain::Stop,
};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE},
};
use pingora_core::Result;
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;
use proto::edge::v1::Event;
use std::convert::Infallible;

const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
const SERVED: HeaderValue = HeaderValue::from_static("application/json, application/proto, application/x-protobuf");
/// nginx would gather the stream until its buffer is full.
const X_ACCEL_BUFFERING: &str = "x-accel-buffering";

/// Answers one request to a route of server-sent events.
///
/// # Errors
/// Where the client has gone.
pub async fn serve(
    gateway: &Gateway,
    session: &mut Session,
    ctx: &mut RequestContext,
    route: &Route,
    target: &EventTarget,
) -> Result<()> {
    let subscriber = match open(gateway, session, ctx, route, target).await? {
        Ok(subscriber) => subscriber,
        Err(Stop::Refused(refusal)) => return gateway.refuse(session, ctx, &refusal).await.map(drop),
        Err(Stop::Answered(status)) => return reply::answer(session, ctx, status).await,
    };
    let mut head = ResponseHeader::build(StatusCode::OK, Some(8))?;
    head.insert_header(CONTENT_TYPE, "text/event-stream")?;
    head.insert_header(CACHE_CONTROL, "no-store")?;
    head.insert_header(X_ACCEL_BUFFERING, "no")?;
    reply::finish(&ctx.facts, &mut head)?;
    reply::begin(session, head).await?;
    let mut stream = EventStream { is_behind: subscriber.is_behind() };
    ctx.refused = deliver(session, &mut stream, subscriber).await?;
    Ok(())
}

async fn open(
    gateway: &Gateway,
    session: &mut Session,
    ctx: &mut RequestContext,
    route: &Route,
    target: &EventTarget,
) -> Result<std::result::Result<Subscriber, Stop>> {
    if let Err(stop) = run_head(session, ctx, route).await {
        return Ok(Err(stop));
    }
    let codec = match admit(session.req_header(), ctx) {
        Ok(codec) => codec,
        Err(refusal) => return Ok(Err(Stop::Refused(refusal))),
    };
    let bytes_max = message_bytes_max(ctx);
    let times = &ctx.plan.loaded.config.connections;
    let message = match proxy::read_body(session, bytes_max, times, Reason::BodyTooLarge).await? {
        Ok(message) => message,
        Err(refusal) => return Ok(Err(Stop::Refused(refusal))),
    };
    ctx.bytes_in = message.len() as u64;
    let events = match events(gateway, Some(&target.source)) {
        Ok(events) => events,
        Err(refusal) => return Ok(Err(Stop::Refused(refusal))),
    };
    let mut request = SignedRequest::new(gateway, session.req_header(), ctx, route, &target.invalidations);
    let opened = subscribe(&mut request, &message, codec, &events).await;
    request.into_found().keep(ctx);
    Ok(opened.map_err(Stop::Refused))
}

/// The codec of a request, where its head is one of a subscription. With a refusal goes what would be, as an edit of the
/// answer.
pub(super) fn admit(header: &RequestHeader, ctx: &mut RequestContext) -> std::result::Result<Codec, Refusal> {
    if header.method != Method::POST {
        let refusal = Refusal::because(Reason::MethodNotAllowed, "a subscription is a signed request, sent by POST");
        return Err(Refusal { allow: Some("POST".to_owned()), ..refusal });
    }
    codec(&header.headers).ok_or_else(|| {
        ctx.facts.downstream_headers.set(ACCEPT_POST, SERVED);
        let what = "send application/json or application/proto, not compressed";
        Refusal::because(Reason::MediaTypeUnsupported, what)
    })
}

/// The codec of a request that is not compressed.
fn codec(headers: &HeaderMap) -> Option<Codec> {
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return None;
    }
    // RFC 9110 section 8.3.1: a media type has no case.
    let media_type = headers.get(CONTENT_TYPE)?.to_str().ok()?.split(';').next()?.trim().to_ascii_lowercase();
    match media_type.as_str() {
        "application/json" => Some(Codec::Json),
        "application/proto" | "application/x-protobuf" => Some(Codec::Proto),
        _ => None,
    }
}

/// A stream of server-sent events.
struct EventStream {
    /// Whether the position of the first event is ahead of what follows it.
    is_behind: bool,
}

impl Transport for EventStream {
    type Parting = Infallible;

    async fn hear(&mut self, session: &mut Session) -> Result<Heard<Infallible>> {
        Err(gone(session).await)
    }

    fn put(&self, event: &Encoded, frames: &mut BytesMut) {
        let Event { event_type, position, .. } = &event.event;
        // Clients keep the last id: cut off behind such a first event, they would never get what they missed.
        let is_ahead = self.is_behind && event_type == SERVER_TIME;
        // It is the backend's. A line break in it would begin a field of its own, and browsers drop an id with a NUL.
        if !is_ahead && !position.is_empty() && !position.contains(['\r', '\n', '\0']) {
            put_field(frames, b"id", position.as_bytes());
        }
        // JSON has its line breaks escaped, so it is one line.
        put_field(frames, b"data", event.json());
        frames.put_u8(b'\n');
    }

    fn put_heartbeat(&self, frames: &mut BytesMut) {
        frames.put_slice(b": heartbeat\n\n");
    }

    async fn write(&mut self, session: &mut Session, frames: Bytes) -> Result<()> {
        reply::write_piece(session, frames, false).await
    }

    async fn end(&mut self, session: &mut Session, reason: Reason) -> Result<()> {
        let data = serde_json::json!({ "code": Code::from(reason.rpc_code()).as_str(), "reason": reason.as_str() });
        let last = format!("event: end\ndata: {data}\n\n");
        reply::write_piece(session, last.into(), true).await
    }

    async fn part(&mut self, _: &mut Session, parting: Infallible) -> Result<Option<Reason>> {
        match parting {}
    }
}

fn put_field(frames: &mut BytesMut, name: &[u8], value: &[u8]) {
    frames.reserve(name.len() + value.len() + 4);
    frames.put_slice(name);
    frames.put_slice(b": ");
    frames.put_slice(value);
    frames.put_u8(b'\n');
}
