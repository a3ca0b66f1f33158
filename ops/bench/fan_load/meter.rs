//! Who is connected, and when what arrived.

use crate::Outcome;
use serde_json::{Value, json};
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::{sync::Notify, time::timeout};

/// Of anything that must happen. A server that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// One for each set of streams.
#[derive(Default)]
pub(crate) struct Meter {
    counts: Mutex<Counts>,
    changed: Notify,
}

#[derive(Default)]
struct Counts {
    open: usize,
    closed: usize,
    /// When the last stream was closed.
    closed_at: Option<Instant>,
    first_fault: Option<String>,
    events: Vec<Sent>,
    latencies_us: Vec<u32>,
    due: usize,
}

struct Sent {
    at: Instant,
    last_us: u32,
}

impl Meter {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Streams that have begun and not ended.
    pub(crate) fn open(&self) -> usize {
        let counts = self.counts();
        counts.open - counts.closed
    }

    pub(crate) fn closed(&self) -> usize {
        self.counts().closed
    }

    pub(crate) fn opened(&self) {
        self.counts().open += 1;
        self.changed.notify_waiters();
    }

    /// A stream is over, for this reason.
    pub(crate) fn ended(&self, why: &str) {
        let mut counts = self.counts();
        counts.closed += 1;
        counts.closed_at = Some(Instant::now());
        counts.first_fault.get_or_insert_with(|| why.to_owned());
        drop(counts);
        self.changed.notify_waiters();
    }

    /// Numbers the next event, which is sent now and so often to be received.
    pub(crate) fn sending(&self, receivers: usize) -> usize {
        let mut counts = self.counts();
        counts.due += receivers;
        counts.events.push(Sent { at: Instant::now(), last_us: 0 });
        counts.events.len() - 1
    }

    /// An event has reached a device.
    pub(crate) fn arrived(&self, number: usize) {
        let mut counts = self.counts();
        let Some(sent) = counts.events.get_mut(number) else { return };
        let took = u32::try_from(sent.at.elapsed().as_micros()).unwrap_or(u32::MAX);
        sent.last_us = sent.last_us.max(took);
        counts.latencies_us.push(took);
        let is_last = counts.latencies_us.len() == counts.due;
        drop(counts);
        if is_last {
            self.changed.notify_waiters();
        }
    }

    /// Waits until so many streams have begun since the first.
    pub(crate) async fn await_open(&self, count: usize) -> Outcome<()> {
        self.until("streams did not begin", |counts| counts.closed > 0 || counts.open >= count).await?;
        let counts = self.counts();
        match counts.closed {
            0 => Ok(()),
            closed => Err(format!("{closed} streams ended: {:?}", counts.first_fault).into()),
        }
    }

    /// Waits until so many streams have ended, and says when the last did.
    pub(crate) async fn await_closed(&self, count: usize) -> Outcome<Instant> {
        self.until("streams did not end", |counts| counts.closed >= count).await?;
        self.counts().closed_at.ok_or_else(|| "nothing has ended".into())
    }

    /// Waits until every event has arrived everywhere, and forgets them. What was measured of them since it began.
    pub(crate) async fn await_arrivals(&self, begun: Instant) -> Outcome<Value> {
        let result = self.until("events did not arrive", |counts| counts.latencies_us.len() >= counts.due).await;
        let mut counts = self.counts();
        let (got, due) = (counts.latencies_us.len(), counts.due);
        if result.is_err() || got != due || counts.closed > 0 {
            let (closed, why) = (counts.closed, &counts.first_fault);
            return Err(format!("{got} of {due} arrived, and {closed} streams ended: {why:?}").into());
        }
        let mut all = std::mem::take(&mut counts.latencies_us);
        let mut last: Vec<u32> = counts.events.iter().map(|sent| sent.last_us).collect();
        counts.due = 0;
        counts.events.iter_mut().for_each(|sent| sent.last_us = 0);
        drop(counts);
        let (all, last) = (quantiles(&mut all), quantiles(&mut last));
        Ok(json!({
            "delivered": got,
            "seconds": begun.elapsed().as_secs_f64(),
            "p50_us": all.0,
            "p99_us": all.1,
            "last_p50_us": last.0,
            "last_p99_us": last.1,
        }))
    }

    /// Begins to count anew: what is measured is never mixed with what warmed up.
    pub(crate) fn forget(&self) {
        let mut counts = self.counts();
        counts.events.clear();
        counts.latencies_us.clear();
        counts.due = 0;
    }

    async fn until(&self, what: &str, is_so: impl Fn(&Counts) -> bool) -> Outcome<()> {
        let waiting = async {
            loop {
                let changed = self.changed.notified();
                if is_so(&self.counts()) {
                    return;
                }
                changed.await;
            }
        };
        timeout(PATIENCE, waiting).await.map_err(|_| what.to_owned().into())
    }
}

/// The median and the 99th percentile.
pub(crate) fn quantiles(values: &mut [u32]) -> (u32, u32) {
    values.sort_unstable();
    let at = |percent: usize| values.get(values.len() * percent / 100).copied().unwrap_or_default();
    (at(50), at(99))
}
