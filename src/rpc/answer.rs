//! Writes connectrpc's response to the client.

use super::{Caller, Response, is_framing, text};
use bytes::Bytes;
use http::{
    HeaderValue, Version,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use pingora_core::Result;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

/// Writes head, messages and trailers as they come.
///
/// # Errors
/// Where the client has gone.
pub async fn write(session: &mut Session, caller: Option<Caller>, response: Response) -> Result<()> {
    let (head, mut body) = response.into_parts();
    let mut answer = ResponseHeader::build(head.status, Some(head.headers.len() + 4))?;
    for (name, value) in head.headers.iter().filter(|(name, _)| !is_framing(name)) {
        answer.append_header(name.clone(), value.clone())?;
    }
    let is_text = caller.is_some_and(Caller::is_text);
    if let Some(Caller::GrpcWebText { is_json }) = caller {
        let codec = if is_json { "application/grpc-web-text+json" } else { "application/grpc-web-text+proto" };
        answer.insert_header(CONTENT_TYPE, HeaderValue::from_static(codec))?;
    }
    // A response that is known whole needs no chunks.
    if let Some(length) = body.size_hint().exact().filter(|_| !is_text) {
        answer.insert_header(CONTENT_LENGTH, length)?;
    }
    let ends_with_head = body.is_end_stream();
    session.write_response_header(Box::new(answer), ends_with_head).await?;
    while let Some(frame) = body.frame().await {
        // The error type has no values.
        let Ok(frame) = frame;
        match frame.into_data() {
            Ok(data) => {
                let data = if is_text { Bytes::from(text::encode(&data)) } else { data };
                session.write_response_body(Some(data), body.is_end_stream()).await?;
            }
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers()
                    && session.req_header().version == Version::HTTP_2
                {
                    return session.downstream_session.write_response_trailers(trailers).await;
                }
            }
        }
    }
    session.write_response_body(None, true).await
}
