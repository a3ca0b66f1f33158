//! What Portcullis promises, a file for each promise.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    missing_docs,
    reason = "a test that panics is a test that fails"
)]

mod access_log;
mod addresses;
mod admin;
mod answers;
mod budgets;
mod changes;
mod cli;
mod commands;
mod demo;
mod documents;
mod drain;
mod early;
mod endpoints;
mod explain;
mod feeds;
mod forwards;
mod framing;
mod golden;
mod grpc_clients;
mod handover;
mod heads;
mod hops;
mod http2;
mod keys;
mod kit;
mod life;
mod logs;
mod paces;
mod paths;
mod plan_tests;
mod protocols;
mod public_auth;
mod reload;
mod revocations;
mod rollback;
mod services;
mod session_keys;
mod shared;
mod sse;
mod store;
mod subscriptions;
mod tail;
mod traces;
mod unread;
mod upgrade;
mod uploads;
mod vanished;
mod vectors;
mod websocket;
