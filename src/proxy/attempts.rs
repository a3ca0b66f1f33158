//! Where a proxied request is sent, and where next after it could not be.

use super::{context::RequestContext, waits};
use crate::upstream::{Candidates, Endpoint, FaultKind, Unreached, is_of_connection};
use http::{HeaderMap, header::AUTHORIZATION};
use pingora_core::{Error, ErrorSource, ErrorType, Result};
use pingora_proxy::Session;
use pingora_timeout::timeout;
use std::{net::SocketAddr, sync::Arc, time::Instant};

/// The most connections that are tried for one request.
pub const TRIES_MAX: u8 = 16;

/// What is left to try.
#[derive(Default)]
pub struct Attempts {
    /// The addresses of the endpoint that it goes to.
    candidates: Option<Candidates>,
    /// The one that it goes to.
    address: Option<SocketAddr>,
    /// Endpoints that could not be connected to.
    gone: Vec<Arc<Endpoint>>,
    /// When a further try began.
    began: Option<Instant>,
    /// Whether a kept connection was closed under it, so that it goes to the same address over a new one.
    is_fresh: bool,
}

/// The address that this request goes to next: another of the endpoint that it has, or the first of another endpoint.
///
/// # Errors
/// Where none is left.
pub async fn next(ctx: &mut RequestContext) -> Result<SocketAddr> {
    let upstream = ctx.forward().map(|forward| Arc::clone(&forward.upstream));
    let upstream = upstream.ok_or_else(|| Error::new_in(ErrorType::InternalError))?;
    let left = ctx.forward().map(|forward| waits::left(ctx, forward)).unwrap_or_default();
    let RequestContext { attempts, track, .. } = ctx;
    attempts.began = (track.tries > 0).then(Instant::now);
    if !attempts.is_fresh {
        attempts.address = attempts.candidates.as_mut().and_then(Iterator::next);
    }
    if attempts.address.is_some() {
        track.tries = track.tries.saturating_add(1);
    }
    loop {
        if let Some(address) = attempts.address {
            return Ok(address);
        }
        let endpoint = upstream.pick(&attempts.gone).filter(|_| track.tries < TRIES_MAX);
        let endpoint = endpoint.ok_or_else(|| Error::new_up(ErrorType::ConnectNoRoute))?;
        track.goes_to(endpoint);
        let wait = upstream.options().connect.min(left);
        let late = |_| Err(Unreached { fault: FaultKind::Dns, cause: format!("no address in {wait:?}") });
        match timeout(wait, endpoint.candidates()).await.unwrap_or_else(late) {
            Ok(mut candidates) => {
                attempts.address = candidates.next();
                attempts.candidates = Some(candidates);
            }
            Err(why) => {
                track.fault = Some(why.fault);
                endpoint.unreachable(why.fault, &why);
            }
        }
        if attempts.address.is_none() {
            attempts.gone.push(Arc::clone(endpoint));
        }
    }
}

/// Whether the connection that carries this request is to carry no other: a kept one was closed under it, or its
/// credentials authenticate the connection (RFC 4559 section 6).
#[must_use]
pub fn is_alone(headers: &HeaderMap, ctx: &RequestContext) -> bool {
    ctx.attempts.is_fresh || headers.get(AUTHORIZATION).is_some_and(|value| is_of_connection(value.as_bytes()))
}

/// A connection is there, a new one or a kept one.
pub fn connected(ctx: &mut RequestContext, is_kept: bool) {
    let Some(endpoint) = &ctx.track.endpoint else { return };
    endpoint.reached();
    if let Some(candidates) = &ctx.attempts.candidates {
        candidates.reached();
    }
    if !is_kept {
        let began = ctx.attempts.began.or_else(|| ctx.started.checked_add(ctx.chain_took));
        endpoint.connected(began.map(|began| began.elapsed()).unwrap_or_default());
    }
    ctx.track.fault = None;
}

/// A connection could not be made. Its address is left out for a while, and with its last address its endpoint. Whether
/// there is another to try: nothing was sent, so that any method may be.
pub fn could_not_connect(ctx: &mut RequestContext, error: &Error) -> bool {
    let Some(upstream) = ctx.forward().map(|forward| Arc::clone(&forward.upstream)) else { return false };
    // Earlier attempts have left the endpoint no time to take the connection.
    if ctx.forward().is_none_or(|forward| waits::left(ctx, forward).is_zero()) {
        return false;
    }
    let RequestContext { attempts, track, .. } = ctx;
    let fault = match error.etype() {
        ErrorType::ConnectTimedout => FaultKind::Timeout,
        _ => FaultKind::Refused,
    };
    track.fault = Some(fault);
    attempts.is_fresh = false;
    if let Some(candidates) = &attempts.candidates {
        candidates.failed();
    }
    let is_spent = attempts.candidates.as_ref().is_none_or(Candidates::is_spent);
    if is_spent && let Some(endpoint) = &track.endpoint {
        endpoint.unreachable(fault, error);
        attempts.gone.push(Arc::clone(endpoint));
    }
    let nothing_was_sent = matches!(
        error.etype(),
        ErrorType::ConnectTimedout | ErrorType::ConnectRefused | ErrorType::ConnectNoRoute | ErrorType::ConnectError
    );
    let is_more = !is_spent || attempts.gone.len() < upstream.endpoints().len();
    nothing_was_sent && is_more && track.tries < TRIES_MAX
}

/// The exchange failed over a connection that was there. Whether it is tried once more, over a new one: a backend may
/// close a kept connection at the very moment at which it is used again, and before an answer has begun an idempotent
/// request may be repeated (RFC 9110 section 9.2.2), where its body is still there.
pub fn broke_off(session: &Session, ctx: &mut RequestContext, error: &Error, is_kept: bool) -> bool {
    let Some(fault) = fault(error, ctx) else { return false };
    let is_repeatable = fault == FaultKind::Reset
        && is_kept
        && session.req_header().method.is_idempotent()
        && !session.as_ref().retry_buffer_truncated()
        && session.response_written().is_none()
        && !ctx.has_head();
    if is_repeatable && ctx.track.tries < TRIES_MAX {
        ctx.attempts.is_fresh = true;
        // The body comes once more.
        (ctx.bytes_in, ctx.has_streamed) = (0, false);
        return true;
    }
    ctx.track.fault = Some(fault);
    if let Some(endpoint) = &ctx.track.endpoint {
        endpoint.failed(fault, error);
    }
    false
}

/// What the backend did, where it was the backend.
fn fault(error: &Error, ctx: &RequestContext) -> Option<FaultKind> {
    use ErrorType::{ConnectionClosed, ReadError, ReadTimedout, WriteError, WriteTimedout};
    if waits::is_overdue(error) || *error.etype() == waits::ANSWER_TOO_LATE {
        return (!ctx.is_receiving).then_some(FaultKind::Timeout);
    }
    if *error.esource() != ErrorSource::Upstream || waits::is_ended(error) {
        return None;
    }
    match error.etype() {
        // It may only be waiting for the client.
        ReadTimedout => (!ctx.is_receiving).then_some(FaultKind::Timeout),
        WriteTimedout => Some(FaultKind::Timeout),
        ConnectionClosed | ReadError | WriteError => Some(FaultKind::Reset),
        _ => Some(FaultKind::BadAnswer),
    }
}
