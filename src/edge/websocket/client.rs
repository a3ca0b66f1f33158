//! The client at the other end of a WebSocket: it is heard, asked and answered, and waited for so long and no longer.

use super::{
    allowance::{Allowance, FRAME_BYTES},
    close::Close,
    socket::{Said, Socket, put},
};
use crate::{
    edge::deliver::{Heard, Transport, encoded},
    events::hub::Encoded,
    listener::Tunnel,
    proxy::reply,
    rpc::{Codec, gone},
};
use bytes::{Bytes, BytesMut};
use filters::api::Reason;
use pingora_core::Result;
use pingora_proxy::Session;
use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
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
    tunnel: Arc<Tunnel>,
    socket: Socket,
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
pub struct Stream<'a> {
    client: &'a mut Client,
    codec: Codec,
    /// When it is looked how long the client has been silent.
    look: Pin<Box<Sleep>>,
}

impl Client {
    /// One that is heard here, whose request may have so many bytes, and that may be silent for so long.
    #[must_use]
    pub fn new(tunnel: Arc<Tunnel>, message_bytes_max: u64, idle: Duration) -> Self {
        Self {
            tunnel,
            socket: Socket::new(usize::try_from(message_bytes_max).unwrap_or(usize::MAX)),
            allowance: Allowance::new(),
            message_bytes_max,
            bytes_in: 0,
            idle,
            heard: Instant::now(),
            is_pinged: false,
            lingers: false,
        }
    }

    /// Bytes that came.
    #[must_use]
    pub fn bytes_in(&self) -> u64 {
        self.bytes_in
    }

    /// Waits for the first message.
    ///
    /// # Errors
    /// Where the client has gone.
    pub async fn first_message(
        &mut self,
        session: &mut Session,
        within: Duration,
    ) -> Result<std::result::Result<(Bytes, Codec), Parting>> {
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
            self.answer(session).await?;
            match timeout_at(due, self.read(session)).await {
                Ok(read) => read?,
                Err(_) => return Ok(Err(Parting::ByUs(Close::of(Reason::RequestTimeout)))),
            }
            if self.bytes_in > bytes_max.saturating_add(FRAME_BYTES * BYTES_FOR_ONE) {
                return Ok(Err(flood()));
            }
        }
    }

    /// The stream of events, once there is one. No further message is taken.
    pub fn stream(&mut self, codec: Codec) -> Stream<'_> {
        self.socket.take_no_more();
        let look = Box::pin(sleep_until(self.heard + self.idle / 2));
        Stream { client: self, codec, look }
    }

    /// Ends the conversation without a stream. Answers with why the gateway did.
    ///
    /// # Errors
    /// Where the client has gone.
    pub async fn leave(&mut self, session: &mut Session, parting: Parting) -> Result<Option<Reason>> {
        let reason = self.part(session, parting).await?;
        self.settle(session).await;
        Ok(reason)
    }

    async fn part(&mut self, session: &mut Session, parting: Parting) -> Result<Option<Reason>> {
        let reason = match parting {
            Parting::ByClient => None,
            Parting::ByUs(close) => {
                self.socket.close(close);
                self.lingers = true;
                Some(close.reason)
            }
        };
        self.answer(session).await.map(|()| reason)
    }

    /// Reads on for a moment where the client has yet to close: closing a socket with unread bytes sends a reset, which
    /// can overtake the close and destroy it.
    async fn settle(&mut self, session: &mut Session) {
        if self.lingers {
            drop(timeout_at(Instant::now() + LINGER, self.linger(session)).await);
        }
    }

    async fn linger(&mut self, session: &mut Session) {
        let until = self.bytes_in.saturating_add(LINGER_BYTES_MAX);
        let mut is_understood = true;
        while self.bytes_in < until && self.read(session).await.is_ok() {
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
    async fn answer(&mut self, session: &mut Session) -> Result<()> {
        let answers = self.socket.take_answers();
        if answers.is_empty() { Ok(()) } else { reply::write_piece(session, answers, false).await }
    }

    /// Takes in what comes next. Dropped while it waits, nothing is lost.
    async fn read(&mut self, session: &mut Session) -> Result<()> {
        let bytes = {
            // It reads, and ends where the client has gone.
            let mut gone = pin!(gone(session));
            poll_fn(|cx| match gone.as_mut().poll(cx) {
                Poll::Ready(error) => Poll::Ready(Err(error)),
                Poll::Pending => self.tunnel.take().map_or(Poll::Pending, |bytes| Poll::Ready(Ok(bytes))),
            })
            .await?
        };
        self.heard = Instant::now();
        self.is_pinged = false;
        self.bytes_in = self.bytes_in.saturating_add(bytes.len() as u64);
        self.socket.feed(bytes);
        Ok(())
    }

    /// What has been said, and is more than a ping or a pong.
    fn said(&mut self) -> Option<Parting> {
        loop {
            match self.socket.next() {
                Ok(None) => return None,
                Ok(Some(Said::Control(_))) => {}
                Ok(Some(Said::Close)) => return Some(Parting::ByClient),
                Ok(Some(Said::Message(..))) => return Some(Parting::ByUs(Close::of(Reason::RequestMalformed))),
                Err(close) => return Some(Parting::ByUs(close)),
            }
        }
    }

    /// Pings a client that has been silent for half its time; one that has not answered within the other half is given
    /// up. It is not looked while something is written, which may take longer than all of it: a client that reads a large
    /// event slowly is asked first. Says when to look again.
    fn look(&mut self) -> std::result::Result<Instant, Parting> {
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

impl Transport for Stream<'_> {
    type Parting = Parting;

    async fn hear(&mut self, session: &mut Session) -> Result<Heard<Parting>> {
        let client = &mut *self.client;
        loop {
            if let Some(parting) = client.said() {
                return Ok(Heard::Over(parting));
            }
            let answers = client.socket.take_answers();
            if !answers.is_empty() {
                return Ok(Heard::Answer(answers));
            }
            let before = client.bytes_in;
            tokio::select! {
                biased;
                read = client.read(session) => {
                    read?;
                    if !client.allowance.spend(client.bytes_in - before) {
                        return Ok(Heard::Over(flood()));
                    }
                }
                () = self.look.as_mut() => match client.look() {
                    Ok(next) => self.look.as_mut().reset(next),
                    Err(parting) => return Ok(Heard::Over(parting)),
                },
            }
        }
    }

    fn put(&self, event: &Encoded, frames: &mut BytesMut) {
        put(encoded(event, self.codec), self.codec, frames);
    }

    async fn write(&mut self, session: &mut Session, frames: Bytes) -> Result<()> {
        reply::write_piece(session, frames, false).await
    }

    async fn end(&mut self, session: &mut Session, reason: Reason) -> Result<()> {
        self.client.part(session, Parting::ByUs(Close::of(reason))).await.map(drop)
    }

    async fn part(&mut self, session: &mut Session, parting: Parting) -> Result<Option<Reason>> {
        self.client.part(session, parting).await
    }

    async fn settle(&mut self, session: &mut Session) {
        self.client.settle(session).await;
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
