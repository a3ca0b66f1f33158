//! Bodies that are read whole, by filters and handlers.

use crate::config::source::Connections;
use bytes::{Bytes, BytesMut};
use filters::api::{Reason, Refusal};
use http::{
    HeaderMap, Version,
    header::{CONTENT_LENGTH, EXPECT},
};
use pingora_core::{Error, ErrorType, Result};
use pingora_proxy::Session;
use pingora_timeout::timeout;
use std::{io, time::Duration};

/// Reads a body of at most `bytes_max`. A longer one is refused with `too_large`, before a byte of it is read where
/// its length is announced; one that stalls, takes too long or is framed wrongly is refused as well.
///
/// # Errors
/// Where the client has gone.
pub(crate) async fn read_body(
    session: &mut Session,
    bytes_max: u64,
    times: &Connections,
    too_large: Reason,
) -> Result<std::result::Result<Bytes, Refusal>> {
    if content_length(&session.req_header().headers).is_some_and(|length| length > bytes_max) {
        return Ok(Err(Refusal::new(too_large)));
    }
    invite(session).await?;
    let reading = async {
        let mut body = BytesMut::new();
        while let Some(piece) = read_piece(session, times.body_idle.get()).await.map_err(Error::into_down)? {
            if (body.len() + piece.len()) as u64 > bytes_max {
                return Ok(Err(Refusal::new(too_large)));
            }
            body.extend_from_slice(&piece);
        }
        Ok::<_, Box<Error>>(Ok(body.freeze()))
    };
    let refusal = match timeout(times.body_deadline.get(), reading).await {
        Ok(Err(error)) if *error.etype() == ErrorType::ReadTimedout => Refusal::new(Reason::RequestTimeout),
        Ok(Err(error)) if is_malformed(&error) => Refusal::new(Reason::RequestMalformed),
        Ok(outcome) => return outcome,
        Err(_) => Refusal::new(Reason::RequestTimeout),
    };
    // Where the body ends, nobody knows any more.
    session.set_keepalive(None);
    Ok(Err(refusal))
}

/// Pingora would wait for a piece of an HTTP/2 body without end.
async fn read_piece(session: &mut Session, idle: Duration) -> Result<Option<Bytes>> {
    let read = timeout(idle, session.read_request_body()).await;
    read.unwrap_or_else(|_| Error::e_explain(ErrorType::ReadTimedout, "a body that stalls"))
}

/// Tells a client that waits with its body to send it (RFC 9110 section 10.1.1). The backend is not to do so
/// again: the body has come when it sees the request.
pub(crate) async fn invite(session: &mut Session) -> Result<()> {
    if let Some(expected) = session.req_header().headers.get(EXPECT) {
        let waits = !expected.is_empty();
        // HTTP/1.0 has no interim answers (RFC 9110 section 15.2).
        if waits && session.req_header().version != Version::HTTP_10 && !session.is_body_done() {
            session.write_continue_response().await.map_err(Error::into_down)?;
        }
        session.req_header_mut().remove_header(&EXPECT);
    }
    Ok(())
}

/// Whether a body could not be read because its framing is broken. The guard says so: Pingora's reader never sees
/// what it would trip over.
pub(crate) fn is_malformed(error: &Error) -> bool {
    let cause = error.root_cause().downcast_ref::<io::Error>();
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::InvalidData)
}

/// The announced length of a body.
pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
