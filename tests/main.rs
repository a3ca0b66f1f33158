//! What Portcullis promises, a file for each promise.

mod commands;
mod forwards;
mod golden;
mod kit;
mod life;
