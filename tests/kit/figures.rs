//! Figures, as the scripts of ops/bench read them.

use serde_json::json;

/// One line of a table.
#[allow(clippy::print_stdout, reason = "the script reads it there")]
pub fn report(what: &str, figure: &str, bound: &str, is_met: bool) {
    // On a line of its own: the test's name stands before what it prints first.
    println!("\n{}", json!({ "what": what, "figure": figure, "bound": bound, "met": is_met }));
}

/// Reports what only informs.
pub fn note(what: &str, figure: &str) {
    report(what, figure, "", true);
}
