//! Keeps a store's link: finds the primary, connects, and begins anew when the link is gone.

use super::{
    RedisStore, Status,
    dial::{Dialer, Driver},
    fault::{CallFault, LinkFault},
    link::Link,
    locate,
};
use redis::cmd;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};

const HEARTBEAT: Duration = Duration::from_secs(1);
const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// Short, so that an instance that knows of commands stamped ahead is there to tell it soon after a fence.
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// A link that stood so long was a good one.
const STEADY: Duration = Duration::from_secs(10);
/// In all, to find the primary, connect and check: however many Sentinels or nodes there are.
const CONNECT_STEPS_MAX: u32 = 30;

/// The states of the breaker, as the metric shows them.
#[derive(Debug, Clone, Copy)]
pub(super) enum Breaker {
    Closed = 0,
    HalfOpen = 1,
    Open = 2,
}

impl RedisStore {
    /// Keeps the store connected until `stop` turns true, or is dropped. Until it runs, every claim fails.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => {}
            () = self.keep_connected() => {}
        }
        self.link.store(None);
        self.metrics.up.set(0);
    }

    /// How long another instance may need to find a server that is back, and to tell what it knows: the longest
    /// pause, a connection, and two heartbeats.
    pub(super) fn hold(&self) -> Duration {
        BACKOFF_MAX + self.options.open_for + self.options.connect_timeout + 2 * HEARTBEAT
    }

    async fn keep_connected(&self) {
        let dialer = Dialer {
            tls: self.options.tls.clone(),
            connect_timeout: self.options.connect_timeout,
            command_timeout: self.options.command_timeout,
        };
        let mut tries: u32 = 0;
        loop {
            self.metrics.breaker.set(Breaker::HalfOpen as i64);
            tries = tries.saturating_add(1);
            let fault = match self.connect(&dialer).await {
                Ok((link, driver)) => {
                    let begun = Instant::now();
                    let fault = self.serve(&Arc::new(link), driver).await;
                    self.metrics.reconnects.inc();
                    // A link that breaks as soon as it stands is no better than none.
                    if begun.elapsed() >= STEADY {
                        tries = 1;
                    }
                    fault
                }
                Err(fault) => fault,
            };
            self.metrics.breaker.set(Breaker::Open as i64);
            let is_broken = matches!(fault, LinkFault::Broken { .. } | LinkFault::Forbidden { .. });
            self.note_down(fault);
            let pause = if is_broken { self.options.open_for } else { Duration::ZERO };
            sleep(pause + backoff(tries)).await;
        }
    }

    async fn connect(&self, dialer: &Dialer) -> Result<(Link, Driver), LinkFault> {
        let opened = async {
            let primary = locate::primary(&self.options, dialer).await?;
            Link::open(primary, &self.scripts).await
        };
        timeout(self.options.connect_timeout.saturating_mul(CONNECT_STEPS_MAX), opened)
            .await
            .unwrap_or(Err(LinkFault::Silent))
    }

    /// Has the link used until it ends.
    async fn serve(&self, link: &Arc<Link>, driver: Driver) -> LinkFault {
        let fault = tokio::select! {
            fault = link.ended() => fault,
            () = driver => LinkFault::Closed,
            fault = self.beat(link) => fault,
        };
        // Calls that wait on it fail with the driver, which is gone.
        self.unpublish(link);
        fault
    }

    /// The first heartbeat makes the link a link: the server has seen what this instance knows.
    async fn beat(&self, link: &Arc<Link>) -> LinkFault {
        let mut ticks = interval(HEARTBEAT);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_published = false;
        loop {
            ticks.tick().await;
            match self.heartbeat(link).await {
                Ok(()) if !is_published => {
                    is_published = true;
                    self.publish(link);
                }
                Ok(()) => {
                    if let Err(fault) = self.still_fit(link).await {
                        return fault;
                    }
                }
                Err(CallFault::Forbidden(said)) => {
                    return LinkFault::Forbidden { server: link.server.clone(), said };
                }
                Err(fault) if !is_published => return LinkFault::Refused(fault.to_string()),
                // Counted as any other call.
                Err(fault) => tracing::debug!(store = self.name, %fault, "a heartbeat failed"),
            }
        }
    }

    /// Somebody may change the server's policy while it runs.
    async fn still_fit(&self, link: &Link) -> Result<(), LinkFault> {
        let mut command = cmd("INFO");
        command.arg("memory");
        match timeout(self.options.command_timeout, link.send(&command)).await {
            Ok(Ok(info)) => locate::eviction(&locate::text(&info).unwrap_or_default(), &link.server, &self.options),
            // What a link without answers comes to is for the calls to say.
            Ok(Err(_)) | Err(_) => Ok(()),
        }
    }

    fn publish(&self, link: &Arc<Link>) {
        self.link.store(Some(Arc::clone(link)));
        self.metrics.up.set(1);
        self.metrics.breaker.set(Breaker::Closed as i64);
        let before = self.status.swap(Arc::new(Status::Up));
        tracing::info!(store = self.name, server = link.server, before = %before, "the store is connected");
    }

    /// Takes the link out of use, so that calls fail at once.
    pub(super) fn unpublish(&self, link: &Arc<Link>) {
        let current = self.link.load();
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, link)) {
            self.link.compare_and_swap(&current, None);
            self.metrics.up.set(0);
        }
    }

    fn note_down(&self, fault: LinkFault) {
        self.metrics.up.set(0);
        let reason = fault.to_string();
        let status = if fault.is_setup() { Status::Unfit { reason } } else { Status::Down { reason } };
        let before = self.status.swap(Arc::new(status.clone()));
        if *before != status {
            tracing::warn!(store = self.name, %status, "the store cannot be used");
        }
        self.why_down.store(Arc::new(fault));
    }
}

/// Fully jittered: instances that lost the server together do not come back together.
fn backoff(tries: u32) -> Duration {
    let most = BACKOFF_MIN.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(BACKOFF_MAX);
    most.mul_f64(fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_their_cap() {
        for (tries, most) in [(0, 100), (1, 100), (2, 200), (4, 800), (5, 1_000), (u32::MAX, 1_000)] {
            let pauses: Vec<Duration> = (0..1000).map(|_| backoff(tries)).collect();
            assert!(pauses.iter().all(|pause| *pause <= Duration::from_millis(most)), "{tries}");
            assert!(pauses.iter().any(|pause| *pause > Duration::from_millis(most * 9 / 10)), "{tries}");
            assert!(pauses.iter().any(|pause| *pause < Duration::from_millis(most / 10)), "{tries}");
        }
    }
}
