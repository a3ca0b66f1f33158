//! `gateway.yaml`: from text to a checked configuration.

pub mod source;
mod values;
