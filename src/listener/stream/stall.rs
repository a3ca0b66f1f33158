//! A client that takes nothing of what is written to it.
//!
//! Pingora 0.9.1 gives a whole piece of a body the time that is meant for some progress, and a head none: a slow reader
//! of large pieces would be cut off, and one that reads nothing of a head never.

use std::{
    future::Future as _,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Sleep, sleep};

/// How long a write may wait for the client. Costs nothing as long as none has to.
#[derive(Debug, Default)]
pub(super) struct Stall {
    limit: Option<Duration>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Stall {
    pub(super) fn set_limit(&mut self, limit: Duration) {
        self.limit = Some(limit);
    }

    /// What a write came to; a failure where it has waited for too long.
    pub(super) fn judge<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let Some(limit) = self.limit.filter(|_| written.is_pending()) else {
            self.timer = None;
            return written;
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        timer.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::time::{advance, timeout};

    const LIMIT: Duration = Duration::from_secs(30);

    async fn wait(stall: &mut Stall) -> bool {
        let write = poll_fn(|cx| stall.judge(cx, Poll::<io::Result<()>>::Pending));
        timeout(LIMIT * 9 / 10, write).await.is_ok_and(|written| written.is_err())
    }

    #[tokio::test(start_paused = true)]
    async fn any_progress_gives_a_write_its_time_again() {
        let mut stall = Stall::default();
        assert!(!wait(&mut stall).await, "without a limit nothing is too long");
        stall.set_limit(LIMIT);
        for _ in 0..5 {
            assert!(!wait(&mut stall).await);
            assert!(poll_fn(|cx| stall.judge(cx, Poll::Ready(Ok(1)))).await.is_ok());
        }
        advance(LIMIT).await;
        assert!(!wait(&mut stall).await);
        assert!(wait(&mut stall).await);
    }
}
