//! What a plan makes of a request, found out without a network: the guard of the listeners says where it ends, the plan's
//! own routes, filters and handlers decide it, with a clock that is set, stores in memory, and backends that answer what
//! they are told to.
//!
//! `portcullis explain` shows it of one request; `portcullis test` holds it against what a configuration expects.

mod clock;
mod command;
mod connection;
mod considered;
mod ending;

mod explanation;
mod incoming;
pub mod logged;
mod offline;
mod rehearsal;
mod request;
mod settings;
mod stand_in;
pub mod suite;
mod text;
mod trial;
mod verdicts;
mod wire;

pub use command::{Command, Signer};
pub use explanation::{Answered, Considered, Explanation, Judged, Place, Sent, Standing, Upshot};
pub use rehearsal::{Rehearsal, RehearsalFault};
pub use request::{Parts, Request, RequestFault, with_crlf};
pub use settings::Setting;
pub use stand_in::{Answers, Given, Lookups};
