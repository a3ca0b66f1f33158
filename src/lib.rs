//! Portcullis: an edge gateway for signed commands and event streams, on Pingora.
//!
//! Data flows one way:
//! `cli → life, explain → proxy, listener, edge, admin → rpc, events → plan, upstream, store → config, telemetry, wire`.

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
pub mod proxy;
pub mod rpc;
pub mod store;
pub mod telemetry;
pub mod upstream;
pub mod wire;
