//! The answer of a route that publishes the signing keys.

use super::{Gateway, context::RequestContext, reply};
use crate::plan::{Route, published::PublishedKeys};
use bytes::Bytes;
use filters::api::{Reason, Refusal};
use http::{
    Method, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, ETAG},
};
use pingora_core::{
    Result,
    protocols::http::conditional_filter::{not_modified_filter, to_304},
};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

/// RFC 7517 section 8.5.2.
const JWK_SET: &str = "application/jwk-set+json";
/// A key must have been published for so long before it signs (ops/guide/signing-key.md): five minutes.
const CACHED: &str = "public, max-age=300";

impl Gateway {
    /// Answers one request to a route that publishes these keys.
    ///
    /// # Errors
    /// Where the client has gone.
    pub(super) async fn publish(
        &self,
        session: &mut Session,
        ctx: &mut RequestContext,
        route: &Route,
        keys: &PublishedKeys,
    ) -> Result<()> {
        if self.pass(session, ctx, route).await? {
            return Ok(());
        }
        if !matches!(session.req_header().method, Method::GET | Method::HEAD) {
            let refusal = Refusal { allow: Some("GET, HEAD".to_owned()), ..Refusal::new(Reason::MethodNotAllowed) };
            return self.refuse(session, ctx, &refusal).await.map(drop);
        }
        let mut answer = ResponseHeader::build(StatusCode::OK, Some(8))?;
        answer.insert_header(CONTENT_TYPE, JWK_SET)?;
        answer.insert_header(CACHE_CONTROL, CACHED)?;
        answer.insert_header(ETAG, &keys.etag)?;
        let is_known = not_modified_filter(session.req_header(), &answer);
        if is_known {
            to_304(&mut answer);
        }
        reply::finish(&ctx.facts, &mut answer)?;
        reply::write(session, answer, if is_known { Bytes::new() } else { keys.document.clone() }).await
    }
}
