//! The subcommands.

pub mod call;
