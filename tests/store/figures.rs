//! What shared stores hold under load, in figures: `ops/bench/stores` gathers them. Counts and decisions are
//! asserted; times depend on the machine, so they are only reported.

mod budgets;
mod calls;
mod outages;
mod replays;

use super::*;
use crate::kit::figures::{note, report};
use futures_util::future::join_all;
use std::sync::atomic::AtomicUsize;

/// How many requests are under way at once.
const TASKS: usize = 64;

/// So many, or a fiftieth for a quick try.
fn sized(number: usize) -> usize {
    if std::env::var_os("FIGURES_QUICK").is_some_and(|quick| quick == "1") { number / 50 } else { number }
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
