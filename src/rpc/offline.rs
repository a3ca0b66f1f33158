//! Calls that are only tried: their messages, read in the same way without a connection.

use super::{
    Asked, Unread, body_bytes_max, caller::Codec, message, message_bytes_max, message_of, refusal, text, transcode,
    upload::failed,
};
use crate::{
    listener::offline::BodyEnd,
    plan::services::Method,
    proxy::context::RequestContext,
    wire::{
        Failure,
        frames::{FrameFault, FrameReader},
    },
};
use bytes::Bytes;
use filters::api::{Reason, Refusal};
use http::Method as Verb;
use pingora_http::RequestHeader;

/// Reads a body that is only tried: so many bytes at most, with the reason for which more are refused.
pub type Read<'a> = dyn Fn(u64, Reason) -> Result<Bytes, Refusal> + 'a;

/// The one message of a request.
///
/// # Errors
/// Where there is none, or not one alone.
pub fn message(header: &RequestHeader, asked: &Asked, read: &Read<'_>, bytes_max: u64) -> Result<Bytes, Unread> {
    if header.method == Verb::GET {
        let query = header.uri.query().unwrap_or_default();
        return message::of_query(query, usize::try_from(bytes_max).unwrap_or(usize::MAX)).map_err(Unread::Fault);
    }
    let body = read(body_bytes_max(asked, bytes_max), Reason::MessageTooLarge).map_err(Unread::Refused)?;
    message_of(asked, body, bytes_max)
}

/// The messages of a call of a method, in protobuf. Of a stream that goes on there are those that came.
///
/// # Errors
/// What the caller is told, and those that came before it.
pub fn messages(
    (header, body, end): (&RequestHeader, &Bytes, &BodyEnd),
    asked: &Asked,
    method: &Method,
    ctx: &RequestContext,
    read: &Read<'_>,
) -> Result<Vec<Bytes>, Failure> {
    let (bytes_max, codec) = (message_bytes_max(ctx), asked.caller.codec);
    if !method.client_streams {
        let message = message(header, asked, read, bytes_max).map_err(|unread| match unread {
            Unread::Refused(refusal) => refusal::to_failure(&refusal),
            Unread::Fault(fault) => failed(&fault),
        })?;
        return Ok(vec![transcode::to_proto(message, codec, &method.input)?]);
    }
    let base64 = || failed(&message::MessageFault::Base64);
    let body = match asked.caller.is_text {
        false => body.clone(),
        true => text::decode(body).map_err(|_| base64())?.into(),
    };
    let mut frames = FrameReader::new(asked.encoding, usize::try_from(bytes_max).unwrap_or(usize::MAX));
    frames.push(body);
    let mut messages = Vec::new();
    while let Some(message) = frames.read().map_err(|fault| failed(&fault.into()))? {
        messages.push(transcode::to_proto(message, codec, &method.input)?);
    }
    match end {
        BodyEnd::Whole => frames.end().map_err(|fault| failed(&fault.into()))?,
        BodyEnd::Awaited(_) => {}
        BodyEnd::Broken(_) => return Err(failed(&FrameFault::Cut.into())),
    }
    Ok(messages)
}

/// A message of a method as JSON, for reading; none where it is none of the method's.
#[must_use]
pub fn shown(message: Bytes, method: &Method) -> Option<String> {
    let json = transcode::from_proto(message, Codec::Json, &method.input).ok()?;
    String::from_utf8(json.to_vec()).ok()
}
