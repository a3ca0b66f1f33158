//! What shared stores hold under load, in figures: `ops/bench/stores` gathers them. Counts and decisions are
//! asserted; times depend on the machine, so they are only reported.

mod budgets;
mod calls;
mod outages;
mod replays;

use super::*;
use futures_util::future::join_all;
use serde_json::json;
use std::sync::atomic::AtomicUsize;

/// How many requests are under way at once.
const TASKS: usize = 64;

/// So many, or a fiftieth for a quick try.
fn sized(number: usize) -> usize {
    if std::env::var_os("FIGURES_QUICK").is_some_and(|quick| quick == "1") { number / 50 } else { number }
}

/// One line of the table.
#[allow(clippy::print_stdout, reason = "the script reads it there")]
fn report(what: &str, figure: &str, bound: &str, is_met: bool) {
    // On a line of its own: the test's name stands before what it prints first.
    println!("\n{}", json!({ "what": what, "figure": figure, "bound": bound, "met": is_met }));
}

/// Reports what only informs.
fn note(what: &str, figure: &str) {
    report(what, figure, "", true);
}

/// Does `work` with each of `0..count`, many at once, on every thread of the runtime.
async fn each<F>(count: usize, work: impl Fn(usize) -> F + Clone + Send + 'static)
where
    F: Future<Output = ()> + Send,
{
    let next = Arc::<AtomicUsize>::default();
    let tasks = (0..TASKS).map(|_| {
        let (next, work) = (Arc::clone(&next), work.clone());
        tokio::spawn(async move {
            loop {
                let number = next.fetch_add(1, Relaxed);
                if number >= count {
                    return;
                }
                work(number).await;
            }
        })
    });
    for done in join_all(tasks).await {
        done.unwrap();
    }
}
