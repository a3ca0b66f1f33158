//! The first run: a stand-in backend, and the story that is walked with it.

pub mod backend;
