//! `portcullis schema`: the JSON Schema of `gateway.yaml`, for editors.

use crate::config;
use std::{
    io::{self, Write},
    process::ExitCode,
};

/// The schema as it is printed and kept in `ops/gateway.schema.json`.
#[must_use]
pub fn text() -> String {
    let mut text = serde_json::to_string_pretty(config::schema()).unwrap_or_default();
    text.push('\n');
    text
}

/// Prints the schema.
#[must_use]
pub fn schema() -> ExitCode {
    // A reader that has seen enough, such as `head`, is no failure.
    match io::stdout().write_all(text().as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}
