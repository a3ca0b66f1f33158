//! The end of a gateway: what has begun is finished, and nothing is begun any more.

use super::Running;
use crate::vitals::{DRAINING, SHARE_OF_STREAMS};
use futures_util::future::join_all;
use std::{sync::PoisonError, time::Duration};
use tokio::{
    join,
    time::{Instant, sleep, timeout},
};

/// How often it is looked whether anybody is calling still.
const DRAIN_POLL: Duration = Duration::from_millis(5);

/// What is open.
#[derive(Debug, Clone, Copy)]
pub(super) struct Open {
    pub(super) connections: usize,
    pub(super) requests: i64,
    /// Of events.
    pub(super) streams: usize,
}

/// How a drain has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drained {
    /// Everything had ended.
    Whole,
    /// Its time was over.
    InPart,
}

impl Running {
    /// What is open now.
    pub(super) fn open(&self) -> Open {
        Open {
            connections: self.activity.connections(),
            requests: self.metrics.in_flight.get(),
            streams: self.events.load().values().map(|events| events.hub.counts().streams).sum(),
        }
    }

    /// Not ready at once; keeps serving for `drain.delay` so that load balancers notice; then takes no more
    /// connections and waits for those that are open, at most `drain.deadline`. Where nobody has called for as
    /// long as the delay, and no connection is open, there is nobody who has to notice.
    pub(super) async fn drain(&self) -> Drained {
        self.readiness.block(DRAINING);
        let drain = self.plan.load().loaded.config.drain.clone();
        let until = Instant::now() + drain.delay.get();
        while Instant::now() < until && !self.activity.is_idle_for(drain.delay.get()) {
            sleep(DRAIN_POLL).await;
        }
        // Each client finds another instance before this one takes no more, and not all at once.
        self.end_streams(drain.deadline.get()).await;
        self.end_connections(drain.deadline.get()).await
    }

    /// Takes no more connections, which another process does, and waits for those that are open, at most
    /// `drain.deadline`. There is nobody who has to notice.
    pub(super) async fn step_down(&self) -> Drained {
        self.readiness.block(DRAINING);
        let deadline = self.plan.load().loaded.config.drain.deadline.get();
        join!(self.end_streams(deadline), self.end_connections(deadline)).1
    }

    async fn end_streams(&self, deadline: Duration) {
        let sources = self.events.load_full();
        join_all(sources.values().map(|events| events.hub.shut_down(deadline / SHARE_OF_STREAMS))).await;
    }

    async fn end_connections(&self, deadline: Duration) -> Drained {
        // Whoever connected to them would wait for nobody.
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.stop.send_replace(true);
        self.last_call.announce(deadline);
        let ended = async {
            // Every connection holds the other end of this, and every event stream. When the last request is served,
            // there may still be much that the client has not taken.
            self.stop.closed().await;
            if let Err(error) = (&mut *self.service.lock().await).await {
                tracing::error!(%error, "the proxy service failed");
            }
        };
        if timeout(deadline, ended).await.is_err() {
            tracing::warn!(in_flight = self.metrics.in_flight.get(), "the drain deadline is over");
            return Drained::InPart;
        }
        Drained::Whole
    }
}
