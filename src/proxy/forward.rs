//! A proxied request: what of it changes on the way, and what its failures mean to the client.

use super::{
    attempts,
    body::is_malformed,
    context::RequestContext,
    dial::Dial,
    forwarding::vouch,
    last_stop::count_down,
    waits::{self, ANSWER_TOO_LATE, BODY_TOO_LATE},
};
use crate::{plan::Forward, upstream::is_doubtful};
use filters::api::{Reason, Refusal};
use http::{
    HeaderValue, Method, Uri, Version,
    header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING},
};
use pingora_core::{
    Error, ErrorSource, ErrorType, Result,
    protocols::TcpKeepalive,
    upstreams::peer::{H1UpgradePolicy, HttpPeer, HttpUpstreamRequestPolicy},
};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;
use std::{mem, net::SocketAddr, sync::Arc, time::Duration};

/// What is added to a request, with room for a few edits: the map grows once.
const ADDED_HEADERS: usize = 8;
/// More than the route's limit came while the body was streamed.
pub const BODY_TOO_LARGE: ErrorType = ErrorType::new("body too large");
/// Sets tunnels apart in Pingora's pool.
const TUNNELS: u64 = 1;
/// Sets connections apart that carry one request.
const ALONE: u64 = 2;
/// A backend that vanished without a word is noticed after a minute and a half, by tunnels above all.
const TCP_KEEPALIVE: TcpKeepalive = TcpKeepalive {
    idle: Duration::from_secs(60),
    interval: Duration::from_secs(10),
    count: 3,
    #[cfg(target_os = "linux")]
    user_timeout: Duration::ZERO,
};

/// How `address` is reached, with every time-out set.
///
/// # Errors
/// Where the request goes to no upstream.
pub fn peer(session: &Session, ctx: &RequestContext, address: SocketAddr) -> Result<HttpPeer> {
    let forward = ctx.forward().ok_or_else(|| Error::new_in(ErrorType::InternalError))?;
    let options = forward.upstream.options();
    // What is left of the total bounds each read, so a silent backend cannot outlast it.
    let left = waits::left(ctx, forward);
    let mut peer = HttpPeer::new(address, false, String::new());
    peer.options.connection_timeout = Some(options.connect.min(left));
    peer.options.total_connection_timeout = Some(options.connect.min(left));
    peer.options.read_timeout = Some(waits::read_timeout(session, ctx, forward, left));
    peer.options.write_timeout = Some(options.write.min(left));
    peer.options.idle_timeout = Some(options.idle_timeout);
    peer.options.tcp_keepalive = Some(TCP_KEEPALIVE);
    if attempts::is_alone(&session.req_header().headers, ctx) {
        // None is kept there, as the backend is told to close it.
        peer.group_key = ALONE;
    }
    if waits::may_tunnel(session, forward) {
        peer.options.custom_l4 = Some(Arc::new(Dial));
        // Such a connection has no file descriptor to be known by in the pool: it is neither taken from there nor
        // given back.
        peer.group_key = TUNNELS;
        peer.options.idle_timeout = Some(Duration::ZERO);
    }
    peer.options.http_upstream_request_policy = HttpUpstreamRequestPolicy {
        h1_upgrade: if forward.websocket { H1UpgradePolicy::WebSocketOnly } else { H1UpgradePolicy::Deny },
        ..HttpUpstreamRequestPolicy::standard()
    };
    Ok(peer)
}

/// Turns the client's request into the backend's: the canonical path, the forwarding headers that the
/// gateway vouches for, the filters' edits. Hop-by-hop headers are stripped by the peer's policy.
///
/// # Errors
/// Where the canonical path is no request target.
pub fn rewrite(ctx: &RequestContext, forward: &Forward, request: &mut RequestHeader) -> Result<()> {
    // Each insertion through Pingora's own type also keeps the name's spelling in a second map; of what a
    // proxied request costs more than a bare one, that was a third. Header names have no case anyway.
    let empty = RequestHeader::build_no_case(Method::GET, b"/", Some(0))?;
    let mut parts = http::request::Parts::from(mem::replace(request, empty));
    parts.headers.reserve(ADDED_HEADERS);
    vouch(ctx, &parts.uri, &mut parts.headers);
    if let Some(path) = &ctx.path {
        set_path(&mut parts, path.encoded())?;
    }
    let headers = &mut parts.headers;
    count_down(&parts.method, headers);
    if let Some(host) = &forward.host {
        headers.insert(HOST, host.clone());
    } else if ctx.received == Version::HTTP_10 && !headers.contains_key(HOST) {
        // RFC 9112 section 3.2: what is sent on is HTTP/1.1, which has a Host.
        let endpoint = ctx.track.endpoint.as_ref().or_else(|| forward.upstream.pick(&[]));
        let host = endpoint.and_then(|endpoint| HeaderValue::from_str(endpoint.authority()).ok());
        headers.extend(host.map(|host| (HOST, host)));
    }
    ctx.facts.upstream_headers.apply_to_request(headers);
    if attempts::is_alone(headers, ctx) && !headers.contains_key(CONNECTION) {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    *request = RequestHeader::from(parts);
    Ok(())
}

/// Whether a request, should it have no body, says so by a length: where its method gives a body a meaning (RFC 9110
/// section 8.6). Many backends answer 411 where none is given, and HTTP/2 clients need not give any.
#[must_use]
pub(crate) fn needs_length(request: &RequestHeader) -> bool {
    matches!(request.method, Method::POST | Method::PUT | Method::PATCH)
        && !request.headers.contains_key(CONTENT_LENGTH)
        && !request.headers.contains_key(TRANSFER_ENCODING)
}

/// Says that a request has no body.
pub(crate) fn tell_no_body(request: &mut RequestHeader) {
    // A zero is a header value.
    drop(request.insert_header(CONTENT_LENGTH, HeaderValue::from_static("0")));
}

/// Puts the canonical path in the place of the client's spelling. Nearly every request has it already.
fn set_path(parts: &mut http::request::Parts, canonical: &str) -> Result<()> {
    if parts.uri.authority().is_none() && parts.uri.path() == canonical {
        return Ok(());
    }
    let target = match parts.uri.query() {
        Some(query) => format!("{canonical}?{query}"),
        None => canonical.to_owned(),
    };
    parts.uri = Uri::try_from(target)
        .map_err(|error| Error::because(ErrorType::InternalError, "the canonical path as a target", error))?;
    Ok(())
}

/// Turns down an answer whose end is in doubt. Of a length beside chunks there is nothing to be seen here: Pingora
/// drops the length as it reads the head, which is what RFC 9112 section 6.3 asks of whoever passes it on.
///
/// # Errors
/// Where it is.
pub fn check_framing(answer: &ResponseHeader) -> Result<()> {
    if is_doubtful(answer.version, &answer.headers) {
        return Err(Error::explain(ErrorType::InvalidHTTPHeader, "an answer whose end is in doubt").into_up());
    }
    Ok(())
}

/// What a failure is to the client: a status and a refusal, or nothing where the client has gone. While the
/// client is still sending, a silent backend is only waiting for it.
#[must_use]
pub fn refusal_for(error: &Error, is_receiving: bool) -> Option<(u16, Refusal)> {
    use ErrorType::{
        ConnectError, ConnectNoRoute, ConnectRefused, ConnectTimedout, ConnectionClosed, H2Error, InvalidHTTPHeader,
        ReadError, ReadTimedout, SocketError, WriteError, WriteTimedout,
    };
    let with = |status: u16, reason: Reason| Some((status, Refusal::new(reason)));
    match (error.esource(), error.etype()) {
        (_, kind) if *kind == BODY_TOO_LARGE => with(413, Reason::BodyTooLarge),
        (_, kind) if *kind == ANSWER_TOO_LATE => with(504, Reason::BackendTimeout),
        (_, kind) if *kind == BODY_TOO_LATE => with(408, Reason::RequestTimeout),
        (ErrorSource::Upstream, ReadTimedout) if is_receiving => with(408, Reason::RequestTimeout),
        _ if waits::is_ended(error) => with(503, Reason::RouteChanged),
        _ if waits::is_overdue(error) && is_receiving => with(408, Reason::RequestTimeout),
        _ if waits::is_overdue(error) => with(504, Reason::BackendTimeout),
        (ErrorSource::Downstream, _) if is_malformed(error) => with(400, Reason::RequestMalformed),
        (ErrorSource::Upstream, ReadTimedout | WriteTimedout) => with(504, Reason::BackendTimeout),
        (ErrorSource::Upstream, ConnectError | ConnectNoRoute | ConnectRefused | ConnectTimedout | SocketError) => {
            with(503, Reason::BackendUnavailable)
        }
        (ErrorSource::Upstream, _) => with(502, Reason::BackendUnavailable),
        (ErrorSource::Downstream, ReadTimedout) => with(408, Reason::RequestTimeout),
        // `H2Error`: the client reset its stream while it was answered.
        (ErrorSource::Downstream, ConnectionClosed | H2Error | ReadError | WriteError | WriteTimedout) => None,
        // The head of an answer over HTTP/2, of which Pingora 0.9.1 does not say where it was to go: the client took
        // its request back.
        (ErrorSource::Unset, WriteError) => None,
        (ErrorSource::Downstream, InvalidHTTPHeader) => with(400, Reason::RequestMalformed),
        (ErrorSource::Downstream, _) => with(400, Reason::RequestMalformed),
        (ErrorSource::Internal | ErrorSource::Unset, _) => with(500, Reason::Internal),
    }
}
