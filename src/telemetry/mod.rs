//! What the process says of itself: the access log, metrics, its own log.

pub mod access_log;
mod budgets;
mod connections;
pub mod events;
mod lines;
pub mod log;
mod log_file;
pub mod metrics;
pub mod rarely;
mod routes;
mod seldom;
mod sessions;
pub mod stores;
pub mod timestamp;
mod upstreams;
