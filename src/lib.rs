//! Portcullis: an edge gateway for signed commands and event streams, on Pingora.

pub mod cli;
pub mod config;
