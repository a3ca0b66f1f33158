//! A call as gRPC's request.

use super::{
    Call, Requests, left,
    messages::{Broken, Messages},
};
use crate::{
    upstream::StreamBody,
    wire::{Code, Encoding, Failure, encoding::ACCEPTED, frames::frame, timeout::write_grpc},
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Version,
    header::{CONTENT_TYPE, TE},
};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

const GRPC_ACCEPT: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The request, its authority left to whoever sends it.
///
/// # Errors
/// Where the path is none.
pub(super) fn build(call: Call, encoding: Encoding) -> Result<Request<StreamBody>, Failure> {
    let body = match call.requests {
        Requests::One(message) => StreamBody::Whole(frame(&message, encoding)),
        Requests::Stream(messages) => {
            StreamBody::Flow(Frames { messages, encoding }.map_err(Into::into).boxed_unsync())
        }
    };
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = call.path.parse().map_err(|_| Failure::new(Code::Internal, "a path that is none"))?;
    *request.headers_mut() = headers(call.headers, encoding, call.deadline.map(left).map(write_grpc));
    Ok(request)
}

fn headers(mut headers: HeaderMap, encoding: Encoding, timeout: Option<String>) -> HeaderMap {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(TE, HeaderValue::from_static("trailers"));
    if let Some(timeout) = timeout.and_then(|timeout| HeaderValue::try_from(timeout).ok()) {
        headers.insert(GRPC_TIMEOUT, timeout);
    }
    if encoding != Encoding::Identity {
        headers.insert(GRPC_ENCODING, HeaderValue::from_static(encoding.name()));
        headers.insert(GRPC_ACCEPT, ACCEPTED);
    }
    headers
}

/// Messages as they come, each in its frame.
struct Frames {
    messages: Messages,
    encoding: Encoding,
}

impl Body for Frames {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let next = ready!(self.messages.poll_next(cx));
        Poll::Ready(next.map(|message| message.map(|message| Frame::data(frame(&message, self.encoding)))))
    }
}
