//! The one table of reasons for which a request is turned away.

use std::borrow::Cow;

/// Declares [`Reason`]: of each its word, RPC code, HTTP status and title; then whose fault it is, and the remedy.
macro_rules! reasons {
    ($($(#[doc = $doc:literal])* $name:ident = $wire:literal, $code:ident, $status:literal, $title:literal,
        $blame:ident, $remedy:literal;)*) => {
        /// Why a request was refused: stable words that clients may match on.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[doc = $doc])* #[doc = $title] $name,)* }

        impl Reason {
            /// Every reason, in the table's order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable word, as in `ErrorInfo.reason`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $wire,)* }
            }

            /// The code in Connect, gRPC and gRPC-Web.
            #[must_use]
            pub const fn rpc_code(self) -> RpcCode {
                match self { $(Self::$name => RpcCode::$code,)* }
            }

            /// The HTTP status on plain HTTP routes.
            #[must_use]
            pub const fn http_status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// One short sentence that is safe to show to anybody.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// Returns whose fault it is, as far as the gateway can tell.
            #[must_use]
            pub const fn blame(self) -> Blame {
                match self { $(Self::$name => Blame::$blame,)* }
            }

            /// Returns what the caller can do about it, as half a sentence.
            #[must_use]
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy,)* }
            }
        }
    };
}

reasons! {
    EnvelopeInvalid = "ENVELOPE_INVALID", InvalidArgument, 400, "The command's envelope is invalid",
        Client, "correct the request: sent again as it is, it is refused again";
    ProtocolVersionUnsupported = "PROTOCOL_VERSION_UNSUPPORTED", FailedPrecondition, 400, "This protocol version is not served",
        Client, "use a version that `envelope` serves: the client may be newer or older than the configuration";
    MessageTypeUnknown = "MESSAGE_TYPE_UNKNOWN", Unimplemented, 404, "No such message type",
        Client, "send a type that `commands` routes: the client may be newer or older than the configuration";
    SessionUnknown = "SESSION_UNKNOWN", Unauthenticated, 401, "No such device session",
        Client, "sign in again";
    SessionRevoked = "SESSION_REVOKED", FailedPrecondition, 403, "The device session is revoked",
        Client, "sign in again";
    PayloadHashMismatch = "PAYLOAD_HASH_MISMATCH", InvalidArgument, 400, "The payload does not have this hash",
        Client, "hash the payload as it is sent, with SHA-256";
    PayloadInvalid = "PAYLOAD_INVALID", InvalidArgument, 400, "The payload does not fit the command",
        Client, "correct the request: sent again as it is, it is refused again";
    SignatureInvalid = "SIGNATURE_INVALID", Unauthenticated, 401, "The signature does not verify",
        Client, "sign with the key of the session, over the fields as they are sent";
    RequestStale = "REQUEST_STALE", FailedPrecondition, 400, "The timestamp is outside the freshness window",
        Client, "set the clock, and sign the request anew";
    RequestReplayed = "REQUEST_REPLAYED", AlreadyExists, 409, "This request was already accepted",
        Client, "send it with a new request_id, unless it was sent twice by mistake";
    BudgetExhausted = "BUDGET_EXHAUSTED", ResourceExhausted, 429, "Too many requests",
        Client, "wait for as long as `Retry-After` says";
    MessageTooLarge = "MESSAGE_TOO_LARGE", ResourceExhausted, 413, "The message is too large",
        Client, "send less at once";
    BackendUnavailable = "BACKEND_UNAVAILABLE", Unavailable, 503, "The backend gave no usable answer",
        Backend, "send it again later, with growing pauses";
    BackendTimeout = "BACKEND_TIMEOUT", DeadlineExceeded, 504, "The backend did not answer in time",
        Backend, "send it again later, with growing pauses; it may have been carried out";
    ReplayStoreUnavailable = "REPLAY_STORE_UNAVAILABLE", Unavailable, 503, "Replay protection is out of reach",
        Gateway, "send it again later, with growing pauses";
    SessionLookupUnavailable = "SESSION_LOOKUP_UNAVAILABLE", Unavailable, 503, "The session lookup gave no usable answer",
        Backend, "send it again later, with growing pauses";
    BudgetStoreUnavailable = "BUDGET_STORE_UNAVAILABLE", Unavailable, 503, "The budget store is out of reach",
        Gateway, "send it again later, with growing pauses";
    RouteUnknown = "ROUTE_UNKNOWN", Unimplemented, 404, "No route for this request",
        Client, "ask for what is served: the client may be newer or older than the configuration";
    MethodNotAllowed = "METHOD_NOT_ALLOWED", Unimplemented, 405, "The route does not take this method",
        Client, "use a method that `Allow` names";
    AddressForbidden = "ADDRESS_FORBIDDEN", PermissionDenied, 403, "This address may not call the route",
        Client, "call from an address that the route allows";
    OriginForbidden = "ORIGIN_FORBIDDEN", PermissionDenied, 403, "This origin may not call the route",
        Client, "call from an origin that the route allows";
    BodyTooLarge = "BODY_TOO_LARGE", ResourceExhausted, 413, "The body is too large",
        Client, "send less at once";
    BodyInvalid = "BODY_INVALID", InvalidArgument, 400, "The body is invalid",
        Client, "correct the request: sent again as it is, it is refused again";
    MediaTypeUnsupported = "MEDIA_TYPE_UNSUPPORTED", Unimplemented, 415, "The media type is not supported",
        Client, "send the media type that the route takes";
    RequestMalformed = "REQUEST_MALFORMED", InvalidArgument, 400, "The request is malformed",
        Client, "correct the request: sent again as it is, it is refused again";
    RequestTimeout = "REQUEST_TIMEOUT", DeadlineExceeded, 408, "The request did not arrive in time",
        Client, "send the request faster, or in parts";
    GatewayShuttingDown = "GATEWAY_SHUTTING_DOWN", Unavailable, 503, "The gateway is shutting down",
        Gateway, "come back at once: another instance, or the next process, answers";
    RouteChanged = "ROUTE_CHANGED", Unavailable, 503, "The route is served in another way now, or not any more",
        Gateway, "subscribe again, after the last event: what is served has changed";
    ConsumerTooSlow = "CONSUMER_TOO_SLOW", ResourceExhausted, 429, "The events were not read fast enough",
        Client, "read faster, and resume after the last event";
    StreamsExhausted = "STREAMS_EXHAUSTED", ResourceExhausted, 429, "Too many event streams are open",
        Client, "close other streams of the device first";
    LoopDetected = "LOOP_DETECTED", FailedPrecondition, 508, "The gateway forwards the request to itself",
        Gateway, "report it: an upstream has the address of the gateway itself, or leads back to it";
    NotServed = "NOT_SERVED", Unimplemented, 501, "This call is not served",
        Client, "correct the request: sent again as it is, it is refused again";
    Internal = "INTERNAL", Internal, 500, "The gateway failed",
        Gateway, "report it with the request id: the gateway's own log says more";
}

/// Who has to change something for a refused request to pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// Whoever sent it.
    Client,
    /// The service behind the gateway.
    Backend,
    /// The gateway, its stores or its operator.
    Gateway,
}

/// The status codes of gRPC and Connect that refusals use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum RpcCode {
    InvalidArgument,
    DeadlineExceeded,
    AlreadyExists,
    PermissionDenied,
    ResourceExhausted,
    FailedPrecondition,
    Unimplemented,
    Internal,
    Unavailable,
    Unauthenticated,
}

/// What a budget says of itself in the answer: of all rules that were asked, the one with the least left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateState {
    /// `X-RateLimit-Limit`: requests in the window.
    pub limit: u64,
    /// `X-RateLimit-Remaining`: what is left of them now.
    pub remaining: u64,
    /// `X-RateLimit-Reset`: seconds until the window is whole again.
    pub reset_seconds: u64,
}

/// A request turned away by rule. It is written in the caller's protocol at one place of the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The stable word, its code and its status.
    pub reason: Reason,
    /// What exactly was wrong, for the caller; never holds a secret or a piece of another caller's data.
    pub detail: Cow<'static, str>,
    /// `Retry-After` in seconds and `RetryInfo`: when the same request may pass.
    pub retry_after_seconds: Option<u64>,
    /// `Allow`, of a `METHOD_NOT_ALLOWED`.
    pub allow: Option<String>,
    /// What failed behind the gateway, where that is why.
    pub fault: Option<Box<Fault>>,
}

/// What failed behind the gateway. It is logged and explained to the operator; the client is never told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Fault {
    /// A stable word to count by, such as `timeout`.
    pub kind: &'static str,
    /// One sentence without a full stop. Never holds a secret or what a backend says of a user.
    pub what: String,
}

impl Fault {
    /// A fault of this kind.
    #[must_use]
    pub fn new(kind: &'static str, what: impl Into<String>) -> Self {
        Self { kind, what: what.into() }
    }
}

impl Refusal {
    /// A refusal with the reason's own title as its detail.
    #[must_use]
    pub const fn new(reason: Reason) -> Self {
        Self { reason, detail: Cow::Borrowed(reason.title()), retry_after_seconds: None, allow: None, fault: None }
    }

    /// A refusal that says what exactly was wrong.
    #[must_use]
    pub fn because(reason: Reason, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { detail: detail.into(), ..Self::new(reason) }
    }

    /// The same, with what failed behind the gateway.
    #[must_use]
    pub fn for_fault(self, fault: Fault) -> Self {
        Self { fault: Some(Box::new(fault)), ..self }
    }

    /// The same, with the time after which the request may pass.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }
}
