//! What a filter is written against.

mod build;
mod exchange;
mod filter;
pub(crate) mod forms;
mod headers;
mod ports;
mod refusal;
pub mod units;

pub use build::{BuildFault, ConfigProblem, Configured, Named, Parts, Reference};
pub use exchange::{CommandState, Exchange, Facts, Head, MessageTypes, Reservation, Session};
pub use filter::{BodyNeed, Check, Filter, Halt, OnFault, Outcome, Step};
pub use headers::{HeaderEdit, HeaderEdits};
pub use ports::{
    BudgetStore, Charge, Claim, Claimed, Clock, Exhausted, Grant, LookupFault, Receipt, ReplayClaim, ReplayKey,
    ReplayStore, Reserved, SessionLookup, SessionRecord, SessionStatus, Spent, Store, StoreFault,
};
pub use refusal::{RateState, Reason, Refusal, RpcCode};
