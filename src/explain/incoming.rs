//! A body that is here already.

use crate::proxy::{Incoming, context::RequestContext, replayed_max};
use bytes::Bytes;
use filters::api::{BodyNeed, Reason, Refusal};
use pingora_core::Result;
use pingora_http::RequestHeader;

/// A request without a connection.
pub(super) struct Whole<'a> {
    pub(super) header: &'a RequestHeader,
    pub(super) body: &'a Bytes,
}

impl Incoming for Whole<'_> {
    fn head(&self) -> &RequestHeader {
        self.header
    }

    async fn body(&mut self, _: &RequestContext, need: BodyNeed) -> Result<std::result::Result<Bytes, Refusal>> {
        let fits = self.body.len() as u64 <= replayed_max(need);
        Ok(fits.then(|| self.body.clone()).ok_or_else(|| Refusal::new(Reason::BodyTooLarge)))
    }
}
