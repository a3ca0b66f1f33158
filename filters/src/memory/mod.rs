//! Stores in this process: not shared with another instance, and lost when it ends.

mod budgets;
mod clock;
mod replay;
mod store;
mod window;

pub use budgets::MemoryBudgets;
pub use clock::SystemClock;
pub use replay::MemoryReplay;
pub use store::MemoryStore;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// How many locks a store of so many entries is spread over. A small store needs none of that, and with one
/// lock its bound is exact.
const fn shard_count(entries_max: usize) -> usize {
    if entries_max < 16 * 1024 { 1 } else { 16 }
}

/// A thread that panicked while it held the lock left nothing half done that others could not live with:
/// every change under these locks is complete after each step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Nanoseconds; 584 years fit.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
