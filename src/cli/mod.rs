//! The subcommands of `portcullis`.

pub mod check;
pub mod schema;
