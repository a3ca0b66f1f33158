//! Portcullis: an edge gateway for signed commands and event streams, on Pingora.

pub mod config;
pub mod listener;
pub mod proxy;
