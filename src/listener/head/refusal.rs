//! Why a head is not taken.

use filters::api::{Reason, Refusal};

/// A refused head. Its status can say more than its reason's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadRefusal {
    /// The HTTP status to answer with.
    pub status: u16,
    /// The reason, and what was wrong.
    pub refusal: Refusal,
}

impl From<Refusal> for HeadRefusal {
    fn from(refusal: Refusal) -> Self {
        Self { status: refusal.reason.http_status(), refusal }
    }
}

impl HeadRefusal {
    /// 400: not what RFC 9110 and 9112 have, or open to more than one reading.
    #[must_use]
    pub fn malformed(detail: &'static str) -> Self {
        Self::with(400, detail)
    }

    /// 431 (RFC 6585 section 5): over a limit of the head.
    #[must_use]
    pub fn too_large(detail: &'static str) -> Self {
        Self::with(431, detail)
    }

    /// 414 (RFC 9110 section 15.5.15): a target that is longer than any that is served.
    #[must_use]
    pub fn target_too_long() -> Self {
        Self::with(414, "the request target is too long")
    }

    /// 501 (RFC 9112 section 3): a method that is longer than any that is served.
    #[must_use]
    pub fn method_too_long() -> Self {
        Self::with(501, "the method is too long")
    }

    /// 505 (RFC 9110 section 15.6.6): a version or protocol that is not spoken here.
    #[must_use]
    pub fn version(detail: &'static str) -> Self {
        Self::with(505, detail)
    }

    /// 417 (RFC 9110 section 10.1.1): an expectation that cannot be met.
    #[must_use]
    pub fn expectation() -> Self {
        Self::with(417, "the only expectation that is met is 100-continue")
    }

    /// 408: the head did not arrive in time.
    #[must_use]
    pub fn timeout() -> Self {
        Self { status: 408, refusal: Refusal::new(Reason::RequestTimeout) }
    }

    /// 405: CONNECT. This is no forward proxy, and no route could be one.
    #[must_use]
    pub fn connect() -> Self {
        Self::unserved("CONNECT is not served")
    }

    /// The methods that may be served, as `Allow` says them.
    pub const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

    /// 405: a method that is not served unless a route says so.
    #[must_use]
    pub fn unserved(detail: &'static str) -> Self {
        let mut refusal = Refusal::because(Reason::MethodNotAllowed, detail);
        refusal.allow = Some(Self::METHODS.to_owned());
        Self { status: 405, refusal }
    }

    fn with(status: u16, detail: &'static str) -> Self {
        Self { status, refusal: Refusal::because(Reason::RequestMalformed, detail) }
    }
}
