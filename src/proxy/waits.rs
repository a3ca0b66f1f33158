//! How long is waited for a backend, and for a client that is still sending.
//!
//! Pingora 0.9.1 knows one read time-out for a backend, which runs from the moment that the request's head is
//! sent: it would blame the backend for a slow upload, and cut a tunnel that is idle. So it is set wide where
//! one of the two is possible, and [`GuardedStream::set_due`] holds the backend to its own time meanwhile. An
//! HTTP/2 stream has nothing like that: its backend may take the client's time too, once the upload has ended.

use super::context::RequestContext;
use crate::{
    listener::{Dismissal, Ended, GuardedStream, Overdue},
    plan::Forward,
};
use http::{Version, header::UPGRADE};
use pingora_core::{Error, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;
use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

/// More of the body came when the upstream's total time was over.
pub const BODY_TOO_LATE: ErrorType = ErrorType::new("body too late");
/// The head of the answer did not come within the upstream's total time.
pub const ANSWER_TOO_LATE: ErrorType = ErrorType::new("answer too late");
/// Interim answers that a backend may send ahead of its answer. Each is passed on, so they must have an end.
const INTERIM_MAX: u8 = 32;
/// A client that sends so many bytes of its body a second is slow, but gets on; one that trickles less has no more time
/// than others. Apache httpd and Kestrel have such a rate too.
const UPLOAD_BYTES_PER_SECOND: u64 = 1 << 10;
/// How long a tunnel may be silent both ways. Peers that vanished are found by TCP keep-alive long before.
const TUNNEL_IDLE: Duration = Duration::from_secs(60 * 60);

/// Takes down whether the client is still sending while the request is proxied.
pub fn begin(session: &mut Session, ctx: &mut RequestContext) {
    // The client's time for a body that a filter has read is not the backend's; a second attempt has the rest of the first.
    if ctx.track.endpoint.is_none() {
        ctx.total_since = ctx.started + ctx.chain_took;
    }
    ctx.is_receiving = !session.is_body_done();
}

/// Whether the answer may be a tunnel.
#[must_use]
pub fn may_tunnel(session: &Session, forward: &Forward) -> bool {
    forward.websocket && session.req_header().headers.contains_key(UPGRADE)
}

/// Pingora's time-out for a read from the backend; `left` is what is left of the total.
#[must_use]
pub fn read_timeout(session: &Session, ctx: &RequestContext, forward: &Forward, left: Duration) -> Duration {
    let read = forward.upstream.options().read;
    if may_tunnel(session, forward) {
        TUNNEL_IDLE
    } else if ctx.is_receiving {
        read.max(ctx.plan.loaded.config.connections.body_idle.get()).min(left)
    } else {
        read.min(left)
    }
}

/// The backend's head is about to be sent. Only a client that properly asked for a WebSocket gets one: Pingora
/// does not look for `Connection: upgrade` (RFC 9110 section 7.8).
pub fn head_is_sent(session: &Session, ctx: &mut RequestContext, request: &mut RequestHeader) {
    if request.headers.contains_key(UPGRADE) {
        ctx.asks_upgrade = may_switch(session);
        if !ctx.asks_upgrade {
            request.remove_header(&UPGRADE);
            request.remove_header(&http::header::CONNECTION);
        }
    }
    if ctx.is_receiving {
        set_due(session, total(ctx));
    } else if ctx.asks_upgrade {
        set_due(session, answer_due(ctx));
    }
}

/// A piece of the request's body has come, perhaps its last.
///
/// # Errors
/// Where the total time is over, and no answer has begun.
pub fn body_has_come(session: &Session, ctx: &mut RequestContext, is_last: bool) -> Result<()> {
    if !ctx.is_receiving || ctx.is_upgraded {
        return Ok(());
    }
    if is_last {
        ctx.is_receiving = false;
        ctx.has_streamed = true;
        ctx.total_since = Instant::now();
        if !ctx.is_answered {
            set_due(session, answer_due(ctx));
        }
        return Ok(());
    }
    if ctx.is_answered {
        return Ok(());
    }
    if is_total_over(ctx) {
        return Err(Error::new_down(BODY_TOO_LATE));
    }
    set_due(session, total(ctx));
    Ok(())
}

/// The head of an answer has come.
///
/// # Errors
/// Where it comes too late, or is one interim answer too many; and where it switches to a protocol that nobody asked for:
/// what followed would reach the client unchecked, and the client's next requests the backend.
pub fn head_has_come(session: &mut Session, ctx: &mut RequestContext, answer: &ResponseHeader) -> Result<()> {
    if answer.status == http::StatusCode::SWITCHING_PROTOCOLS {
        if !ctx.asks_upgrade || answer.version != Version::HTTP_11 {
            return Err(Error::explain(ErrorType::InvalidHTTPHeader, "a 101 that nobody asked for").into_up());
        }
        ctx.is_upgraded = true;
        session.set_read_timeout(Some(TUNNEL_IDLE));
        if let Some(stream) = stream(session) {
            stream.set_due(None);
            stream.switch();
        }
        return Ok(());
    }
    if is_total_over(ctx) {
        return Err(Error::new_up(ANSWER_TOO_LATE));
    }
    if answer.status.is_informational() {
        ctx.interim_answers += 1;
        return match ctx.interim_answers > INTERIM_MAX {
            true => Err(Error::explain(ErrorType::InvalidHTTPHeader, "too many interim answers").into_up()),
            false => Ok(()),
        };
    }
    ctx.is_answered = true;
    // The body of an answer has no total: whoever stalls in it is found by the time of each read and write. Only where a
    // tunnel was expected a read may take as long as those may be idle.
    if ctx.asks_upgrade || ctx.has_streamed || ctx.is_receiving {
        set_due(session, total(ctx).filter(|_| ctx.asks_upgrade));
    }
    Ok(())
}

/// Whether the client properly asked to speak another protocol.
#[must_use]
pub fn may_switch(session: &Session) -> bool {
    stream(session).is_some_and(GuardedStream::may_switch)
}

/// An answer that has begun will not be whole. In HTTP/2 its stream is reset anyway.
pub fn break_off(session: &Session) {
    if let Some(stream) = stream(session) {
        stream.break_off();
    }
}

/// What ends a proxied tunnel from outside.
#[must_use]
pub fn tunnel_end(session: &Session) -> Option<Arc<Dismissal>> {
    stream(session).map(GuardedStream::dismissal)
}

/// Whether a failure is that [`GuardedStream::set_due`]'s time was over.
#[must_use]
pub fn is_overdue(error: &Error) -> bool {
    is_from_guard::<Overdue>(error)
}

/// Whether a failure is that [`GuardedStream::dismissal`] was given.
#[must_use]
pub fn is_ended(error: &Error) -> bool {
    is_from_guard::<Ended>(error)
}

fn is_from_guard<E: std::error::Error + 'static>(error: &Error) -> bool {
    let io = error.root_cause().downcast_ref::<io::Error>();
    io.and_then(io::Error::get_ref).is_some_and(|inner| inner.is::<E>())
}

/// What is left of the time to connect in and to be answered.
#[must_use]
pub fn left(ctx: &RequestContext, forward: &Forward) -> Duration {
    forward.upstream.options().request.saturating_sub(ctx.total_since.elapsed())
}

fn is_total_over(ctx: &RequestContext) -> bool {
    total(ctx).is_some_and(|total| total < Instant::now())
}

/// When the head of the answer must have come at the latest. What comes of a body puts it off meanwhile.
fn total(ctx: &RequestContext) -> Option<Instant> {
    let request = ctx.forward()?.upstream.options().request;
    let sent = if ctx.is_receiving { ctx.bytes_in / UPLOAD_BYTES_PER_SECOND } else { 0 };
    ctx.total_since.checked_add(request)?.checked_add(Duration::from_secs(sent))
}

/// When the head of the answer must have come, from now on.
fn answer_due(ctx: &RequestContext) -> Option<Instant> {
    let read = Instant::now().checked_add(ctx.forward()?.upstream.options().read);
    read.into_iter().chain(total(ctx)).min()
}

fn set_due(session: &Session, due: Option<Instant>) {
    if let Some(stream) = stream(session) {
        stream.set_due(due.map(tokio::time::Instant::from_std));
    }
}

/// The client's connection, where it is HTTP/1.
fn stream(session: &Session) -> Option<&GuardedStream> {
    session.as_downstream().stream()?.as_any().downcast_ref()
}
