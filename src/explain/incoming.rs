//! A body that is here already, as far as it came.

use crate::{
    listener::offline::BodyEnd,
    proxy::{Incoming, context::RequestContext, replayed_max},
};
use bytes::Bytes;
use filters::api::{BodyNeed, Reason, Refusal};
use http::header::CONTENT_LENGTH;
use pingora_core::Result;
use pingora_http::RequestHeader;

/// What came of a request's body.
#[derive(Debug, Clone)]
pub(super) struct Body {
    pub(super) bytes: Bytes,
    pub(super) end: BodyEnd,
}

impl Body {
    /// One that came whole.
    pub(super) fn whole(bytes: Bytes) -> Self {
        Self { bytes, end: BodyEnd::Whole }
    }

    /// Whether there is none.
    pub(super) fn is_none(&self) -> bool {
        self.bytes.is_empty() && self.end == BodyEnd::Whole
    }

    /// What whoever reads it whole has of it, as [`crate::proxy::read_body`] does it.
    pub(super) fn read(
        &self,
        header: &RequestHeader,
        bytes_max: u64,
        too_large: Reason,
    ) -> std::result::Result<Bytes, Refusal> {
        if announced(header).is_some_and(|length| length > bytes_max) || self.bytes.len() as u64 > bytes_max {
            return Err(Refusal::new(too_large));
        }
        self.came().map(|()| self.bytes.clone())
    }

    /// What is said to one who sends no more of it than there is.
    pub(super) fn came(&self) -> std::result::Result<(), Refusal> {
        match self.end {
            BodyEnd::Whole => Ok(()),
            BodyEnd::Awaited(_) => Err(Refusal::new(Reason::RequestTimeout)),
            BodyEnd::Broken(_) => Err(Refusal::new(Reason::RequestMalformed)),
        }
    }
}

/// The length that a head announces.
pub(super) fn announced(header: &RequestHeader) -> Option<u64> {
    header.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A request without a connection.
pub(super) struct Whole<'a> {
    pub(super) header: &'a RequestHeader,
    pub(super) body: &'a Body,
}

impl Incoming for Whole<'_> {
    fn head(&self) -> &RequestHeader {
        self.header
    }

    async fn body(&mut self, _: &RequestContext, need: BodyNeed) -> Result<std::result::Result<Bytes, Refusal>> {
        Ok(self.body.read(self.header, replayed_max(need), Reason::BodyTooLarge))
    }
}
