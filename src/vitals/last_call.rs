//! The end of a drain, as those hear of it who are being served still.

use std::{future::pending, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

/// When those are told to end who have not ended by themselves. Without a word they would be cut at the deadline, and
/// could not tell a stop from a fault.
#[derive(Debug, Default)]
pub struct LastCall {
    window: watch::Sender<Option<Window>>,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    begins: Instant,
    lasts: Duration,
}

impl LastCall {
    /// Everything ends within `deadline` from now.
    pub fn announce(&self, deadline: Duration) {
        // All find another instance, and not all at once; the last of them has an eighth to be told in.
        let (part, lasts) = (deadline / 4 * 3, deadline / 8);
        self.window.send_replace(Instant::now().checked_add(part).map(|begins| Window { begins, lasts }));
    }

    /// Waits for the moment, which is spread over those who wait by their `turn`, 0 to 1.
    pub async fn comes(&self, turn: f32) {
        let mut announced = self.window.subscribe();
        // The other end is `self`, so it says something or never.
        let window = announced.wait_for(Option::is_some).await.ok().and_then(|window| *window);
        match window {
            Some(Window { begins, lasts }) => sleep_until(begins + lasts.mul_f32(turn.clamp(0.0, 1.0))).await,
            None => pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use tokio::time::advance;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn it_comes_late_and_not_to_all_at_once() {
        let last_call = LastCall::default();
        let mut first = Box::pin(last_call.comes(0.0));
        let mut last = Box::pin(last_call.comes(1.0));
        assert!((&mut first).now_or_never().is_none());
        advance(60 * SECOND).await;
        assert!((&mut first).now_or_never().is_none(), "nothing was announced");
        last_call.announce(8 * SECOND);
        assert!((&mut first).now_or_never().is_none() && (&mut last).now_or_never().is_none());
        advance(6 * SECOND).await;
        assert!(first.now_or_never().is_some() && (&mut last).now_or_never().is_none());
        advance(SECOND).await;
        assert!(last.now_or_never().is_some());
        // Whoever comes now is not waited for.
        assert!(last_call.comes(1.0).now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_deadline_without_end_is_none() {
        let last_call = LastCall::default();
        last_call.announce(Duration::MAX);
        assert!(last_call.comes(0.0).now_or_never().is_none());
    }
}
