//! What a filter is written against.

mod build;
mod exchange;
mod filter;
pub(crate) mod forms;
mod headers;
mod media_type;
mod ports;
mod refusal;
pub mod units;

pub use build::{BuildFault, ConfigProblem, Configured, Named, Parts, Reference};
pub use exchange::{CommandState, Exchange, Facts, Head, MessageTypes, Reservation, Session};
pub use filter::{BodyNeed, Check, Filter, Halt, OnFault, Outcome, Step};
pub use headers::{HeaderEdit, HeaderEdits, folded, is_disguise};
pub use media_type::MediaType;
pub use ports::{
    Charge, Claim, Claimed, Clock, Exhausted, Grant, LookupFault, Receipt, ReplayClaim, ReplayKey, SessionLookup,
    SessionRecord, SessionStatus, Store, StoreFault,
};
pub use refusal::{Blame, Fault, RateState, Reason, Refusal, RpcCode};
