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

mod answers;
mod cli;
mod commands;
mod forwards;
mod golden;
mod kit;
mod life;
mod protocols;
mod public_auth;
mod revocations;
mod unread;
mod uploads;
