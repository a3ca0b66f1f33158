//! Bodies that are read whole, by filters and handlers.

use bytes::{Bytes, BytesMut};
use filters::api::{Reason, Refusal};
use http::{HeaderMap, header::CONTENT_LENGTH};
use pingora_core::Result;
use pingora_proxy::Session;
use std::time::Duration;

/// Reads a body of at most `bytes_max`, within `deadline`. A longer one is refused with `too_large`, before a
/// byte of it is read where its length is announced.
///
/// # Errors
/// Where the client has gone.
pub(crate) async fn read_body(
    session: &mut Session,
    bytes_max: u64,
    deadline: Duration,
    too_large: Reason,
) -> Result<std::result::Result<Bytes, Refusal>> {
    if content_length(&session.req_header().headers).is_some_and(|length| length > bytes_max) {
        return Ok(Err(Refusal::new(too_large)));
    }
    let reading = async {
        let mut body = BytesMut::new();
        while let Some(piece) = session.read_request_body().await? {
            if (body.len() + piece.len()) as u64 > bytes_max {
                return Ok(Err(Refusal::new(too_large)));
            }
            body.extend_from_slice(&piece);
        }
        Ok(Ok(body.freeze()))
    };
    match tokio::time::timeout(deadline, reading).await {
        Ok(outcome) => outcome,
        Err(_) => Ok(Err(Refusal::new(Reason::RequestTimeout))),
    }
}

/// The announced length of a body.
pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
