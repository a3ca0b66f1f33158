//! The client at the other end of a WebSocket: it is heard, asked and answered, and waited for so long and no longer.

use super::{
    allowance::{Allowance, FRAME_BYTES},
    close::Close,
    socket::{Said, Socket, message},
};
use crate::{
    edge::{
        deliver::{Heard, Transport},
        frames::{Form, encoded, framed},
    },
    events::hub::Encoded,
    proxy::{Gone, Outlet},
    rpc::Codec,
};
use bytes::Bytes;
use filters::api::Reason;
use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};

/// A message in fragments of one byte each has seven for every one.
const BYTES_FOR_ONE: u64 = 8;
/// How long a client is waited for that was told to close, and how much of it is read meanwhile.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: u64 = 256 << 10;

/// How a conversation ends without the hub.
#[derive(Debug)]
pub enum Parting {
    /// The client has closed, and has its answer.
    ByClient,
    /// The gateway closes.
    ByUs(Close),
}

/// A connected client.
pub struct Client {
    socket: Socket,
    /// Whether something has come that was not looked into to its end.
    has_come: bool,
    allowance: Allowance,
    message_bytes_max: u64,
    bytes_in: u64,
    idle: Duration,
    heard: Instant,
    /// Whether it was pinged since it was heard.
    is_pinged: bool,
    /// Whether it was told to close, and has not done so.
    lingers: bool,
}

/// The stream of a client that has subscribed.
pub struct Stream {
    client: Client,
    codec: Codec,
    /// When it is looked how long the client has been silent.
    look: Pin<Box<Sleep>>,
}

impl Client {
    /// One whose request may have so many bytes, and that may be silent for so long.
    #[must_use]
    pub fn new(message_bytes_max: u64, idle: Duration) -> Self {
        Self {
            socket: Socket::new(usize::try_from(message_bytes_max).unwrap_or(usize::MAX)),
            has_come: false,
            allowance: Allowance::new(),
            message_bytes_max,
            bytes_in: 0,
            idle,
            heard: Instant::now(),
            is_pinged: false,
            lingers: false,
        }
    }

    /// Waits for the first message.
    ///
    /// # Errors
    /// Where the client has gone.
    pub async fn first_message(
        &mut self,
        outlet: &mut Outlet,
        within: Duration,
    ) -> Result<Result<(Bytes, Codec), Parting>, Gone> {
        let due = Instant::now() + within;
        let bytes_max = self.message_bytes_max.saturating_mul(BYTES_FOR_ONE);
        loop {
            match self.socket.next() {
                Ok(Some(Said::Message(message, codec))) => return Ok(Ok((message, codec))),
                Ok(Some(Said::Control(bytes))) if self.allowance.spend(bytes as u64 + FRAME_BYTES) => continue,
                Ok(Some(Said::Control(_))) => return Ok(Err(flood())),
                Ok(Some(Said::Close)) => return Ok(Err(Parting::ByClient)),
                Err(close) => return Ok(Err(Parting::ByUs(close))),
                Ok(None) => {}
            }
            self.answer(outlet).await?;
            match timeout_at(due, self.read(outlet)).await {
                Ok(read) => read?,
                Err(_) => return Ok(Err(Parting::ByUs(Close::of(Reason::RequestTimeout)))),
            }
            if self.bytes_in > bytes_max.saturating_add(FRAME_BYTES * BYTES_FOR_ONE) {
                return Ok(Err(flood()));
            }
        }
    }

    /// The stream of events, once there is one. No further message is taken.
    pub fn stream(mut self, codec: Codec) -> Stream {
        self.socket.take_no_more();
        // Behind the first message there may be more.
        self.has_come = true;
        let look = Box::pin(sleep_until(self.heard + self.idle / 2));
        Stream { client: self, codec, look }
    }

    /// Ends the conversation without a stream.
    pub async fn leave(mut self, mut outlet: Outlet, parting: Parting) {
        if let Ok(reason) = self.part(&mut outlet, parting).await {
            outlet.record().refused = reason;
            self.settle(&mut outlet).await;
            outlet.close().await;
        }
    }

    async fn part(&mut self, outlet: &mut Outlet, parting: Parting) -> Result<Option<Reason>, Gone> {
        let reason = match parting {
            Parting::ByClient => None,
            Parting::ByUs(close) => {
                self.socket.close(close);
                self.lingers = true;
                Some(close.reason)
            }
        };
        self.answer(outlet).await.map(|()| reason)
    }

    /// Reads on for a moment where the client has yet to close: closing a socket with unread bytes sends a reset, which
    /// can overtake the close and destroy it.
    async fn settle(&mut self, outlet: &mut Outlet) {
        if self.lingers {
            drop(timeout_at(Instant::now() + LINGER, self.linger(outlet)).await);
        }
    }

    async fn linger(&mut self, outlet: &mut Outlet) {
        let until = self.bytes_in.saturating_add(LINGER_BYTES_MAX);
        let mut is_understood = true;
        while self.bytes_in < until && self.read(outlet).await.is_ok() {
            while is_understood {
                match self.socket.next() {
                    Ok(Some(Said::Close)) => return,
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_) => is_understood = false,
                }
            }
        }
    }

    /// Writes what answers the client.
    async fn answer(&mut self, outlet: &mut Outlet) -> Result<(), Gone> {
        let answers = self.socket.take_answers();
        if answers.is_empty() { Ok(()) } else { outlet.write(answers).await }
    }

    /// Takes in what comes next. Dropped while it waits, nothing is lost.
    async fn read(&mut self, outlet: &mut Outlet) -> Result<(), Gone> {
        poll_fn(|cx| self.poll_read(outlet, cx)).await.map(drop)
    }

    /// The same; says how much it was.
    fn poll_read(&mut self, outlet: &mut Outlet, cx: &mut Context<'_>) -> Poll<Result<u64, Gone>> {
        let bytes = ready!(outlet.poll_heard(cx))?;
        let come = bytes.len() as u64;
        self.heard = Instant::now();
        self.is_pinged = false;
        self.has_come = true;
        self.bytes_in = self.bytes_in.saturating_add(come);
        outlet.record().bytes_in = self.bytes_in;
        self.socket.feed(bytes);
        Poll::Ready(Ok(come))
    }

    /// What has been said, and is more than a ping or a pong.
    fn said(&mut self) -> Option<Parting> {
        while self.has_come {
            match self.socket.next() {
                Ok(None) => self.has_come = false,
                Ok(Some(Said::Control(_))) => {}
                Ok(Some(Said::Close)) => return Some(Parting::ByClient),
                Ok(Some(Said::Message(..))) => return Some(Parting::ByUs(Close::of(Reason::RequestMalformed))),
                Err(close) => return Some(Parting::ByUs(close)),
            }
        }
        None
    }

    /// Pings a client that has been silent for half its time; one that has not answered within the other half is given
    /// up. It is not looked while something is written, which may take longer than all of it: a client that reads a large
    /// event slowly is asked first. Says when to look again.
    fn look(&mut self) -> Result<Instant, Parting> {
        let half = self.idle / 2;
        if self.heard.elapsed() < half {
            return Ok(self.heard + half);
        }
        if self.is_pinged {
            return Err(Parting::ByUs(Close::of(Reason::RequestTimeout)));
        }
        self.socket.ping();
        self.is_pinged = true;
        Ok(Instant::now() + half)
    }
}

fn flood() -> Parting {
    Parting::ByUs(Close::of(Reason::BudgetExhausted))
}

impl Transport for Stream {
    type Parting = Parting;

    fn poll_hear(&mut self, outlet: &mut Outlet, cx: &mut Context<'_>) -> Poll<Result<Heard<Parting>, Gone>> {
        let client = &mut self.client;
        loop {
            if let Some(parting) = client.said() {
                return Poll::Ready(Ok(Heard::Over(parting)));
            }
            let answers = client.socket.take_answers();
            if !answers.is_empty() {
                return Poll::Ready(Ok(Heard::Answer(answers)));
            }
            if let Poll::Ready(come) = client.poll_read(outlet, cx) {
                if !client.allowance.spend(come?) {
                    return Poll::Ready(Ok(Heard::Over(flood())));
                }
                continue;
            }
            ready!(self.look.as_mut().poll(cx));
            match client.look() {
                Ok(next) => self.look.as_mut().reset(next),
                Err(parting) => return Poll::Ready(Ok(Heard::Over(parting))),
            }
        }
    }

    fn frame(&self, event: &Arc<Encoded>) -> Bytes {
        framed(event, Form::Socket(self.codec), || message(encoded(event, self.codec), self.codec))
    }

    async fn end(&mut self, outlet: &mut Outlet, reason: Reason) -> Result<(), Gone> {
        self.client.part(outlet, Parting::ByUs(Close::of(reason))).await.map(drop)
    }

    async fn part(&mut self, outlet: &mut Outlet, parting: Parting) -> Result<Option<Reason>, Gone> {
        self.client.part(outlet, parting).await
    }

    async fn settle(&mut self, outlet: &mut Outlet) {
        self.client.settle(outlet).await;
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
