//! Events: one feed in, every device out.
//!
//! The [`feed`] holds the backend's stream, the [`hub`] hands what it brings to the open streams of devices.

pub mod hub;
