//! Writes connectrpc's response to the client.

use super::{Caller, Response, text};
use crate::proxy::reply;
use bytes::Bytes;
use connectrpc::ConnectRpcBody;
use http::{
    HeaderMap, HeaderName, HeaderValue, Version,
    header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING},
};
use http_body_util::BodyExt as _;
use pingora_core::{Result, protocols::http::ServerSession};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

/// What of a response's headers is Pingora's to say.
const FRAMING: [HeaderName; 3] = [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING];

/// Writes a response: one that is whole with its length, a stream as it comes.
///
/// # Errors
/// Where the client has gone.
pub async fn write(session: &mut Session, caller: Option<Caller>, response: Response) -> Result<()> {
    reply::outlast_body(session);
    let (mut head, body) = response.into_parts();
    for name in FRAMING {
        head.headers.remove(name);
    }
    // Moved whole, without a second map of how names are spelled: their case says nothing (RFC 9110 section 5.1).
    let mut answer = ResponseHeader::from(head);
    if let Some(Caller::GrpcWebText { is_json }) = caller {
        let codec = if is_json { "application/grpc-web-text+json" } else { "application/grpc-web-text+proto" };
        answer.insert_header(CONTENT_TYPE, HeaderValue::from_static(codec))?;
    }
    let is_text = caller.is_some_and(Caller::is_text);
    if caller == Some(Caller::Grpc) && answer.headers.contains_key("grpc-status") {
        return write_trailers_only(session, answer, body).await;
    }
    match body {
        ConnectRpcBody::Full(_) | ConnectRpcBody::GrpcUnary(_) => write_whole(session, answer, body, is_text).await,
        _ => write_stream(session, answer, body, is_text).await,
    }
}

/// A gRPC answer that is nothing but a status: "Trailers-Only", one block of headers. connectrpc writes the
/// status both ahead and behind, and clients that take the first for the whole would miss the details.
async fn write_trailers_only(
    session: &mut Session,
    mut answer: ResponseHeader,
    mut body: ConnectRpcBody,
) -> Result<()> {
    while let Some(Ok(frame)) = body.frame().await {
        for (name, value) in frame.into_trailers().iter().flatten() {
            answer.insert_header(name.clone(), value.clone())?;
        }
    }
    match session.downstream_session.as_mut() {
        // Through the proxy's own method the end would follow in an empty frame of data, and some clients take
        // the status for the headers of an answer whose trailers are missing.
        ServerSession::H2(stream) => stream.write_response_header(Box::new(answer), true),
        // gRPC where it cannot be spoken: over HTTP/1.1 the end is a length.
        _ => {
            answer.insert_header(CONTENT_LENGTH, 0)?;
            session.write_response_header(Box::new(answer), true).await
        }
    }
}

/// A unary answer: its messages are in memory already, so they go out in one piece and need no chunks.
async fn write_whole(
    session: &mut Session,
    mut answer: ResponseHeader,
    mut body: ConnectRpcBody,
    is_text: bool,
) -> Result<()> {
    let mut whole = Bytes::new();
    let mut trailers = None;
    while let Some(Ok(frame)) = body.frame().await {
        match frame.into_data() {
            Ok(data) if whole.is_empty() => whole = data,
            Ok(data) => whole = [whole, data].concat().into(),
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    let whole = if is_text { text::encode(&whole).into() } else { whole };
    if trailers.is_none() {
        answer.insert_header(CONTENT_LENGTH, whole.len())?;
    }
    session.write_response_header(Box::new(answer), whole.is_empty() && trailers.is_none()).await?;
    if !whole.is_empty() {
        session.write_response_body(Some(whole), trailers.is_none()).await?;
    }
    write_trailers(session, trailers).await
}

async fn write_stream(
    session: &mut Session,
    mut answer: ResponseHeader,
    mut body: ConnectRpcBody,
    is_text: bool,
) -> Result<()> {
    if session.req_header().version != Version::HTTP_2 {
        answer.insert_header(TRANSFER_ENCODING, "chunked")?;
    }
    session.write_response_header(Box::new(answer), false).await?;
    let mut trailers = None;
    while let Some(Ok(frame)) = body.frame().await {
        match frame.into_data() {
            Ok(data) if is_text => {
                session.write_response_body(Some(Bytes::from(text::encode(&data))), false).await?;
            }
            Ok(data) => session.write_response_body(Some(data), false).await?,
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    match trailers {
        None => session.write_response_body(None, true).await,
        trailers => write_trailers(session, trailers).await,
    }
}

/// Trailers exist in HTTP/2 alone: gRPC has no other transport, and gRPC-Web writes them into the body.
async fn write_trailers(session: &mut Session, trailers: Option<HeaderMap>) -> Result<()> {
    match trailers {
        Some(trailers) if session.req_header().version == Version::HTTP_2 => {
            session.downstream_session.write_response_trailers(trailers).await
        }
        _ => Ok(()),
    }
}
