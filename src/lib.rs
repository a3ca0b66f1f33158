//! Portcullis: an edge gateway for signed commands and event streams, on Pingora.
//!
//! Data flows one way:
//! `cli, demo → life, explain → proxy, edge, rpc, admin → vitals → listener, events → plan, upstream, store → config,
//! telemetry → client, wire, printable`. Against it go words alone: `plan` and `telemetry` speak of a listener's
//! limits.

pub mod admin;
pub mod cli;
pub mod client;
pub mod config;
pub mod demo;
pub mod edge;
pub mod events;
pub mod explain;
pub mod life;
pub mod listener;
pub mod plan;
pub mod printable;
pub mod proxy;
pub mod rpc;
pub mod store;
pub mod telemetry;
pub mod upstream;
pub mod vitals;
pub mod wire;
