//! Long work, aside from the threads that serve.
//!
//! To make a plan of ten thousand routes, or to free one, takes longer than a request should wait. Another thread is not
//! enough: where all share one core, the kernel gives each its turn, and a turn is some milliseconds.

use std::{
    io, panic,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
};
use tokio::{runtime::Handle, task::block_in_place};

/// A tenth of the weight of a thread that serves (sched(7)): with requests waiting all the time, it still gets a tenth of
/// its core.
const NICENESS: i32 = 10;
const NAME: &str = "portcullis-plan";

/// Does what takes long, and waits for it.
///
/// # Errors
/// Where no thread can be started. Nothing is done then.
///
/// # Panics
/// On a runtime that has one thread only, and where the work does.
pub fn aside<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    let runtime = Handle::try_current().ok();
    let work = || {
        give_way();
        let _inside = runtime.as_ref().map(Handle::enter);
        work()
    };
    let start =
        || thread::scope(|scope| Ok(thread::Builder::new().name(NAME.to_owned()).spawn_scoped(scope, work)?.join()));
    block_in_place(start).map(|done| done.unwrap_or_else(|panicked| panic::resume_unwind(panicked)))
}

/// Frees what takes long to be freed, without waiting for it.
pub(super) fn free<T: Send + 'static>(what: T) {
    let Some(place) = Place::take() else { return drop(what) };
    let runtime = Handle::try_current().ok();
    let work = move || {
        give_way();
        let _inside = runtime.as_ref().map(Handle::enter);
        drop(what);
        drop(place);
    };
    // Without a thread it is freed here, with the work that cannot be done.
    drop(thread::Builder::new().name(NAME.to_owned()).spawn(work));
}

/// Of one thread that frees. Where plans are let go of faster than threads that give way can free them, the rest is freed
/// by whoever lets go.
struct Place;

static TAKEN: AtomicUsize = AtomicUsize::new(0);
const PLACES: usize = 4;

impl Place {
    fn take() -> Option<Self> {
        let place = Self;
        (TAKEN.fetch_add(1, Relaxed) < PLACES).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        TAKEN.fetch_sub(1, Relaxed);
    }
}

/// Has the kernel prefer other threads to this one. On Linux niceness is a thread's own, and only grows: whoever calls
/// this has to end.
fn give_way() {
    // A system that refuses it serves all the same. Elsewhere it would be the whole process that gives way.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(NICENESS);
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::getpriority_process;
    use std::{sync::mpsc, time::Duration};

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn it_is_done_by_a_thread_that_gives_way_and_no_other_does() {
        let niceness = || getpriority_process(None).unwrap();
        let before = niceness();
        assert_eq!(aside(niceness).unwrap(), (before + NICENESS).min(19));
        assert_eq!(niceness(), before);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn it_has_the_runtime_of_whoever_waits_for_it() {
        let id = Handle::current().id();
        assert_eq!(aside(|| Handle::current().id()).unwrap(), id);
    }

    struct Tells(mpsc::Sender<Option<String>>);

    impl Drop for Tells {
        fn drop(&mut self) {
            drop(self.0.send(thread::current().name().map(str::to_owned)));
        }
    }

    #[test]
    fn what_is_freed_is_freed_by_another_thread() {
        let (tell, told) = mpsc::channel();
        free(Tells(tell));
        assert_eq!(told.recv_timeout(Duration::from_secs(10)).unwrap().as_deref(), Some(NAME));
    }
}
