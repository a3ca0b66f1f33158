//! What answers in the place of backends, where a plan is only tried.

use super::{Answer, CallFault};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};

/// Answers calls without a network.
pub trait StandIn: Send + Sync {
    /// The answer of the upstream of this name.
    ///
    /// # Errors
    /// Where it gives none.
    fn answer(&self, upstream: &str, request: &Request<Bytes>) -> Result<Answer, CallFault>;
}

pub(super) async fn ask(
    stand_in: &dyn StandIn,
    upstream: &str,
    request: Request<Full<Bytes>>,
) -> Result<Answer, CallFault> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap_or_else(|never| match never {}).to_bytes();
    stand_in.answer(upstream, &Request::from_parts(head, body))
}
