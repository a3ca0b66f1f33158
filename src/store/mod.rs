//! Stores that several instances share, behind the filters' trait.

pub mod redis;
