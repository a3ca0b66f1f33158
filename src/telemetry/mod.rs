//! What the process says of itself: the access log, metrics, its own log.

pub mod access_log;
mod connections;
mod lines;
pub mod log;
pub mod metrics;
mod seldom;
mod sessions;
