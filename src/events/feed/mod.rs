//! Holds the backend's stream of events: one for each `gateway_client_id`.
//!
//! It reads and hands over, and waits for nobody: neither the hub nor the session caches ever make it wait, so the
//! backend is never slowed by a device. (h2 since 0.4.16 kills a connection whose small frames are not read.)
//! A stream that ends is opened again from the last cursor. Without one, as before the first event, the backend
//! begins with what comes then: everybody is told of the gap.

mod dial;
mod end;
mod rival;
mod seen;
mod status;

pub use status::{FeedCounts, FeedStatus, Link};

use super::{
    backoff::Backoff,
    hub::{Publisher, PushFault},
};
use crate::plan::events::FeedOptions;
use dial::{Dial, Tcp};
use end::{End, shown};
use filters::session::{self, Invalidations};
use proto::push::v1::{
    PushEvent, SessionInvalidation, SubscribePushRequest, push_client::PushClient, push_event::Kind,
};
use rival::Rival;
use seen::Seen;
use std::{
    pin::pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep},
};
use tonic::{Code, Response, Status, Streaming};

/// Servers of some languages answer a call with their first message: one that speaks HTTP/2 and has not refused the
/// call after this has taken it.
const SETTLED: Duration = Duration::from_millis(500);
/// A stream that stood for so long was a good one, even if it brought nothing.
const GOOD: Duration = Duration::from_secs(10);

/// Holds the backend's stream.
pub struct Feed {
    options: FeedOptions,
    dial: Arc<dyn Dial>,
    publisher: Publisher,
    invalidations: Arc<Invalidations>,
    /// Says whether caches of sessions may be used.
    hook: session::Feed,
    status: Arc<FeedStatus>,
    /// Of the last event seen; empty before the first.
    cursor: String,
    seen: Seen,
    backoff: Backoff,
    rival: Rival,
}

impl Feed {
    /// Hands what comes to `publisher` and `invalidations`.
    #[must_use]
    pub fn new(options: FeedOptions, publisher: Publisher, invalidations: &Arc<Invalidations>) -> Self {
        let dial = Arc::new(Tcp { authority: options.authority.clone(), tls: options.tls.clone() });
        Self::over(dial, options, publisher, invalidations)
    }

    fn over(
        dial: Arc<dyn Dial>,
        options: FeedOptions,
        publisher: Publisher,
        invalidations: &Arc<Invalidations>,
    ) -> Self {
        Self {
            options,
            dial,
            publisher,
            invalidations: Arc::clone(invalidations),
            hook: session::Feed::new(Arc::clone(invalidations)),
            status: Arc::new(FeedStatus::new()),
            cursor: String::new(),
            seen: Seen::new(),
            backoff: Backoff::new(fastrand::Rng::new()),
            rival: Rival::default(),
        }
    }

    /// Goes on from this cursor.
    #[must_use]
    pub fn going_on(self, cursor: String) -> Self {
        Self { cursor, ..self }
    }

    /// How it is.
    #[must_use]
    pub fn status(&self) -> Arc<FeedStatus> {
        Arc::clone(&self.status)
    }

    /// Begins after this cursor, which was the last that another process has seen.
    pub fn go_on_after(&mut self, cursor: String) {
        self.publisher.go_on_after(&cursor);
        self.cursor = cursor;
    }

    /// Holds the stream until it is dropped.
    pub async fn run(mut self) {
        loop {
            let begun = Instant::now();
            let events_before = self.brought();
            let end = match self.hold().await {
                Ok(()) => End::regular(),
                Err(end) => end,
            };
            self.hook.down();
            self.status.down(&end.why);
            self.status.ended.fetch_add(1, Relaxed);
            let wait = self.after(&end, begun.elapsed(), self.brought() > events_before);
            tracing::warn!(why = end.why, wait_ms = wait.as_millis(), "the feed has no stream");
            sleep(wait).await;
        }
    }

    /// What was new: only that is a sign of a good stream.
    fn brought(&self) -> u64 {
        self.status.events.load(Relaxed) + self.status.invalidations.load(Relaxed)
    }

    /// What follows from a stream's end, and how long to wait.
    fn after(&mut self, end: &End, stood: Duration, has_brought: bool) -> Duration {
        if self.rival.begins(end, stood, has_brought) {
            let id = &self.options.gateway_client_id;
            tracing::error!(
                gateway_client_id = id,
                "the backend ends the feed again and again: another instance seems to use the same \
                 `gateway_client_id`, and each must have its own"
            );
        }
        self.status.suspect(self.rival.is_suspected());
        // Of two instances that throw each other out neither may come back at once for ever.
        if stood >= GOOD || (has_brought && !rival::is_conflict(end)) {
            self.backoff.reset();
        }
        // An event that is too large to be taken would come again after every reconnect.
        if end.code == Code::OutOfRange && !self.cursor.is_empty() {
            tracing::error!(cursor = shown(&self.cursor), why = end.why, "what follows this cursor is skipped");
            self.cursor.clear();
        }
        self.backoff.wait()
    }

    /// Opens a stream and reads it to its end.
    async fn hold(&mut self) -> Result<(), End> {
        let (channel, heard) =
            dial::connect(&self.options, &self.dial).await.map_err(|error| End::not_connected(&error))?;
        let mut client = PushClient::new(channel).max_decoding_message_size(self.options.message_bytes_max);
        let gateway_client_id = self.options.gateway_client_id.clone();
        let request = SubscribePushRequest { gateway_client_id, cursor: self.cursor.clone() };
        let answer = self.opened(pin!(client.subscribe_push(request)), heard).await;
        let mut stream = answer.map_err(|status| End::with(&status))?.into_inner();
        // Only now is it certain that every invalidation from here on is told.
        self.hook.up();
        while let Some(pushed) = stream.message().await.map_err(|status| End::with(&status))? {
            self.take(pushed);
            // A backend with a backlog would otherwise keep the thread to itself.
            tokio::task::coop::consume_budget().await;
        }
        Ok(())
    }

    /// The backend's answer. The stream is taken to be open when it has come, or when there was no refusal for a
    /// while after the backend's first word.
    async fn opened(
        &mut self,
        mut answer: std::pin::Pin<&mut impl Future<Output = Result<Response<Streaming<PushEvent>>, Status>>>,
        heard: oneshot::Receiver<()>,
    ) -> Result<Response<Streaming<PushEvent>>, Status> {
        let settled = async {
            match heard.await {
                Ok(()) => sleep(SETTLED).await,
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            answer = &mut answer => {
                let answer = answer?;
                self.open();
                Ok(answer)
            }
            () = settled => {
                self.open();
                answer.await
            }
        }
    }

    /// From here on the backend tells everything.
    fn open(&mut self) {
        if self.cursor.is_empty() {
            self.lost(None);
        }
        self.status.opened.fetch_add(1, Relaxed);
        if self.status.up() {
            tracing::info!(cursor = shown(&self.cursor), "the feed is up");
        }
    }

    fn take(&mut self, pushed: PushEvent) {
        let PushEvent { kind, cursor } = pushed;
        // A gap is never silent, not even one with a cursor that was there before.
        if kind.is_some() && !cursor.is_empty() && !self.seen.is_new(&cursor) {
            self.status.duplicates.fetch_add(1, Relaxed);
            return;
        }
        let (count, taken) = match kind {
            Some(Kind::ClientEvent(event)) => (&self.status.events, self.publisher.event(event, &cursor)),
            Some(Kind::SessionInvalidation(invalidation)) => (
                &self.status.invalidations,
                invalidate(&mut self.publisher, &self.invalidations, &invalidation, &cursor),
            ),
            None => {
                // What is cached may have been invalidated by what was lost.
                self.hook.gap();
                self.lost(Some(cursor.as_str()).filter(|cursor| !cursor.is_empty()));
                self.advance(cursor);
                return;
            }
        };
        match taken {
            Ok(()) => {
                count.fetch_add(1, Relaxed);
            }
            Err(fault) => {
                self.status.malformed.fetch_add(1, Relaxed);
                tracing::warn!(%fault, cursor = shown(&cursor), "the backend pushes what cannot be handed on");
                if fault == PushFault::NobodyNamed {
                    // It has ended some session.
                    self.hook.gap();
                }
            }
        }
        self.advance(cursor);
    }

    fn lost(&mut self, cursor: Option<&str>) {
        self.status.gaps.fetch_add(1, Relaxed);
        self.publisher.lost(cursor);
    }

    fn advance(&mut self, cursor: String) {
        if !cursor.is_empty() {
            self.cursor = cursor;
        }
    }
}

/// Commands ahead of streams: a stream that is opened meanwhile is held against the former afterwards.
fn invalidate(
    publisher: &mut Publisher,
    invalidations: &Invalidations,
    invalidation: &SessionInvalidation,
    cursor: &str,
) -> Result<(), PushFault> {
    match (invalidation.device_session_id.as_str(), invalidation.user_id.as_str()) {
        ("", "") => {}
        ("", user_id) => invalidations.invalidate_user(user_id),
        (session_id, _) => invalidations.invalidate_session(session_id),
    }
    let streams = publisher.invalidate(invalidation, cursor)?;
    tracing::info!(streams, reason = shown(&invalidation.reason), "the backend has ended sessions");
    Ok(())
}

#[cfg(test)]
mod tests;
