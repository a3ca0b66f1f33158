//! `portcullis schema`: the JSON Schema of `gateway.yaml`, for editors.

use super::output::print_as_is;
use crate::config;
use std::process::ExitCode;

/// The schema as it is printed and kept in `ops/gateway.schema.json`.
#[must_use]
pub fn text() -> String {
    let mut text = serde_json::to_string_pretty(config::schema()).unwrap_or_default();
    text.push('\n');
    text
}

/// Prints the schema.
pub(super) fn schema() -> ExitCode {
    print_as_is(text().as_bytes());
    ExitCode::SUCCESS
}
