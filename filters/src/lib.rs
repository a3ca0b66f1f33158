//! The filters of Portcullis and the API that they are written against.
//!
//! A filter looks at one request and lets it pass, refuses it, or says that it cannot decide. It names no
//! proxy, no store and no network: what it needs from outside (clock, session lookup, replay and budget
//! stores) reaches it as a trait of [`api`], so every filter runs in a plain unit test.
//!
//! To add one: write its file (configuration, documentation, code, tests) and add its line to the table in
//! [`table`].

pub mod api;
pub mod body;
pub mod budget;
pub mod chain;
mod claims;
pub mod cors;
pub mod envelope;
#[cfg(test)]
mod fakes;
pub mod freshness;
pub mod headers;
pub mod ip;
pub mod memory;
pub mod order;
pub mod payload_hash;
pub mod replay;
pub mod request_id;
pub mod session;
pub mod signature;
pub mod table;
