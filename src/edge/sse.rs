//! Subscriptions as server-sent events (html.spec.whatwg.org, section 9.2), answered to a POST: a request is signed, and
//! nothing that is belongs in a URL.

use super::{
    deliver::{self, Heard, Transport},
    frames::{Form, framed},
    request::SignedRequest,
    subscribe::{events, subscribe},
};
use crate::{
    events::hub::{Encoded, SERVER_TIME, Subscriber},
    plan::{Route, subscriptions::EventTarget},
    proxy::{self, Gateway, Gone, Last, Outlet, context::RequestContext, reply},
    rpc::{Codec, message_bytes_max, run_head},
    wire::{Code, lists::elements},
};
use bytes::{BufMut as _, Bytes, BytesMut};
use filters::{
    api::{MediaType, Reason, Refusal},
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
use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
const SERVED: HeaderValue = HeaderValue::from_static("application/json, application/proto, application/x-protobuf");
/// No cache keeps what was signed for one device, and no proxy on the way compresses the stream, which would gather it
/// (RFC 9111 section 5.2.2.6).
const CACHING: &str = "no-store, no-transform";
/// nginx would gather the stream until its buffer is full.
const X_ACCEL_BUFFERING: &str = "x-accel-buffering";
/// The names of both fields, and what ends them and their block.
const FIELDS_BYTES: usize = "id: \ndata: \n\n".len();

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
) -> pingora_core::Result<()> {
    let subscriber = match open(gateway, session, ctx, route, target).await? {
        Ok(subscriber) => subscriber,
        Err(Stop::Refused(refusal)) => return gateway.refuse(session, ctx, &refusal).await.map(drop),
        Err(Stop::Answered(status)) => return reply::answer(session, ctx, status).await,
    };
    let mut head = ResponseHeader::build(StatusCode::OK, Some(8))?;
    head.insert_header(CONTENT_TYPE, "text/event-stream")?;
    head.insert_header(CACHE_CONTROL, CACHING)?;
    head.insert_header(X_ACCEL_BUFFERING, "no")?;
    reply::finish(&ctx.facts, &mut head)?;
    reply::begin_last(session, head).await?;
    let stream = EventStream { is_behind: subscriber.is_behind() };
    if let Some(outlet) = gateway.hand_over(session, ctx) {
        deliver::spawn(outlet, stream, subscriber);
    }
    Ok(())
}

async fn open(
    gateway: &Gateway,
    session: &mut Session,
    ctx: &mut RequestContext,
    route: &Route,
    target: &EventTarget,
) -> pingora_core::Result<Result<Subscriber, Stop>> {
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
    if elements(headers, &CONTENT_ENCODING).any(|encoding| !encoding.eq_ignore_ascii_case(b"identity")) {
        return None;
    }
    let media_type = MediaType::of(headers)?;
    match media_type.essence.as_str() {
        "application/json" => media_type.is_utf_8.then_some(Codec::Json),
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

    fn poll_hear(&mut self, outlet: &mut Outlet, cx: &mut Context<'_>) -> Poll<Result<Heard<Infallible>, Gone>> {
        outlet.poll_heard(cx).map(|_| Err(Gone))
    }

    fn frame(&self, event: &Arc<Encoded>) -> Bytes {
        let Event { event_type, position, .. } = &event.event;
        // Clients keep the last id: cut off behind such a first event, they would never get what they missed.
        if self.is_behind && event_type == SERVER_TIME {
            return block(event, "");
        }
        framed(event, Form::Sse, || block(event, position))
    }

    fn heartbeat(&self) -> Bytes {
        Bytes::from_static(b": heartbeat\n\n")
    }

    async fn end(&mut self, outlet: &mut Outlet, reason: Reason) -> Result<(), Gone> {
        let data = serde_json::json!({ "code": Code::from(reason.rpc_code()).as_str(), "reason": reason.as_str() });
        outlet.end(Last::Body(format!("event: end\ndata: {data}\n\n").into())).await
    }

    async fn part(&mut self, _: &mut Outlet, parting: Infallible) -> Result<Option<Reason>, Gone> {
        match parting {}
    }
}

/// An event and where it stands.
fn block(event: &Encoded, position: &str) -> Bytes {
    let json = event.json();
    let mut block = BytesMut::with_capacity(position.len() + json.len() + FIELDS_BYTES);
    // It is the backend's. A line break in it would begin a field of its own, and browsers drop an id with a NUL.
    if !position.is_empty() && !position.contains(['\r', '\n', '\0']) {
        put_field(&mut block, b"id", position.as_bytes());
    }
    // JSON has its line breaks escaped, so it is one line.
    put_field(&mut block, b"data", json);
    block.put_u8(b'\n');
    block.freeze()
}

fn put_field(block: &mut BytesMut, name: &[u8], value: &[u8]) {
    block.put_slice(name);
    block.put_slice(b": ");
    block.put_slice(value);
    block.put_u8(b'\n');
}
