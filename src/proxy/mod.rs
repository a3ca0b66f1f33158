//! Requests on their way through: their path, and what is answered to them.

pub mod path;
pub mod problem;
