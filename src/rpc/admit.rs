//! Whether a request is a call that can be read here.

use super::{Asked, caller, caller::Protocol};
use crate::proxy::context::RequestContext;
use filters::api::{Reason, Refusal};
use http::{HeaderName, HeaderValue, Method, Version};
use pingora_http::RequestHeader;

const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
const SERVED: HeaderValue = HeaderValue::from_static(
    "application/proto, application/json, application/connect+proto, application/connect+json, application/grpc, \
     application/grpc+proto, application/grpc+json, application/grpc-web, application/grpc-web+proto, \
     application/grpc-web+json, application/grpc-web-text, application/grpc-web-text+proto, \
     application/grpc-web-text+json",
);

/// How a method is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Whether one message is answered with one.
    pub is_unary: bool,
    /// Whether GET may call it.
    pub takes_get: bool,
}

/// What the caller asked for.
///
/// # Errors
/// Another HTTP method, media type, version or encoding than can be served, each with what is.
pub fn admit(header: &RequestHeader, ctx: &mut RequestContext, shape: Shape) -> Result<Asked, Refusal> {
    let allow = if shape.takes_get { "GET, POST" } else { "POST" };
    if header.method != Method::POST && !(shape.takes_get && header.method == Method::GET) {
        let refusal = Refusal::because(Reason::MethodNotAllowed, format!("this is called by {allow}"));
        return Err(Refusal { allow: Some(allow.to_owned()), ..refusal });
    }
    let answer = &mut ctx.facts.downstream_headers;
    let unsupported = |what| Refusal::because(Reason::MediaTypeUnsupported, what);
    let Some(caller) = caller(header) else {
        answer.set(ACCEPT_POST, SERVED);
        return Err(unsupported(
            "send application/proto, application/json, application/grpc or application/grpc-web, each +proto or +json",
        ));
    };
    match caller.protocol {
        Protocol::Grpc if header.version != Version::HTTP_2 => Err(unsupported("gRPC needs HTTP/2")),
        Protocol::Connect if !shape.is_unary => {
            Err(unsupported("a stream is sent as application/connect+proto or +json"))
        }
        Protocol::ConnectStream if shape.is_unary => {
            Err(unsupported("a unary call is sent as application/proto or application/json"))
        }
        _ => Asked::read(caller, &header.headers, answer),
    }
}
