//! What is published, and how each server is told.

use crate::{
    Outcome, device, frames,
    meter::{Meter, quantiles},
    push::Push,
};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use proto::push::v1::{ClientEvent, SessionInvalidation, push_event::Kind};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::{
    net::TcpStream,
    time::{MissedTickBehavior, interval},
};

/// What has become due by then is published together, to whichever server.
const TICK: Duration = Duration::from_millis(10);
/// The number of events that nobody waits for.
const UNCOUNTED: usize = 99_999_999;

/// Which events, and whom for.
#[derive(Deserialize)]
pub(crate) struct Publish {
    via: Via,
    to: To,
    count: usize,
    per_second: usize,
    /// The size of the payload.
    bytes: usize,
    /// So many streams get each event. Nobody waits for any where it is 0.
    receivers: usize,
    /// What else is published meanwhile, with nobody waiting for it.
    beside: Option<Beside>,
}

#[derive(Deserialize)]
struct Beside {
    to: To,
    per_second: usize,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Via {
    Push,
    Centrifugo(SocketAddr),
    Pushpin(SocketAddr),
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum To {
    All,
    /// These in turn.
    Users {
        first: usize,
        count: usize,
    },
}

impl To {
    /// The user of an event; none for all of them.
    fn user(self, number: usize) -> Option<String> {
        match self {
            Self::All => None,
            Self::Users { first, count } => Some(format!("u{}", first + number % count.max(1))),
        }
    }
}

/// Which sessions are ended, one after the other.
#[derive(Deserialize)]
pub(crate) struct Revoke {
    what: Revoked,
    first: usize,
    count: usize,
    users: usize,
    /// Streams that each takes with it.
    streams: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Revoked {
    Sessions,
    Users,
}

struct Message {
    user: Option<String>,
    id: String,
}

pub(crate) struct Publisher {
    push: Push,
    http: Option<(SocketAddr, SendRequest<Full<Bytes>>)>,
}

impl Publisher {
    pub(crate) fn new(push: Push) -> Self {
        Self { push, http: None }
    }

    /// Publishes at an even pace, and waits until everything has arrived.
    pub(crate) async fn publish(&mut self, publish: &Publish, meter: &Meter) -> Outcome<Value> {
        meter.forget();
        let begun = Instant::now();
        let mut pace = interval(TICK);
        pace.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let (mut sent, mut beside) = (0, 0);
        while sent < publish.count {
            pace.tick().await;
            let due = |per_second: usize| (begun.elapsed().as_secs_f64() * per_second as f64) as usize + 1;
            let mut messages = Vec::new();
            if let Some(other) = &publish.beside {
                let until = due(other.per_second);
                let uncounted = |number| Message { user: other.to.user(number), id: frames::id(UNCOUNTED) };
                messages.extend((beside..until).map(uncounted));
                beside = until;
            }
            let until = due(publish.per_second).min(publish.count);
            messages.extend((sent..until).map(|number| {
                let id = if publish.receivers == 0 { UNCOUNTED } else { meter.sending(publish.receivers) };
                Message { user: publish.to.user(number), id: frames::id(id) }
            }));
            sent = until;
            if !messages.is_empty() {
                self.send(publish.via, &messages, publish.bytes).await?;
            }
        }
        meter.await_arrivals(begun).await
    }

    async fn send(&mut self, via: Via, messages: &[Message], bytes: usize) -> Outcome<()> {
        match via {
            Via::Push => {
                messages.iter().try_for_each(|message| self.push.push(Kind::ClientEvent(client_event(message, bytes))))
            }
            Via::Centrifugo(at) => {
                let commands: Vec<Value> = messages.iter().map(|message| centrifugo(message, bytes)).collect();
                self.post(at, "/api/batch", &json!({ "commands": commands })).await
            }
            Via::Pushpin(at) => {
                let items: Vec<Value> = messages.iter().map(|message| pushpin(message, bytes)).collect();
                self.post(at, "/publish/", &json!({ "items": items })).await
            }
        }
    }

    async fn post(&mut self, at: SocketAddr, path: &str, body: &Value) -> Outcome<()> {
        let (_, sender) = match self.http.take() {
            Some((known, sender)) if known == at && !sender.is_closed() => self.http.insert((at, sender)),
            _ => {
                let stream = TcpStream::connect(at).await?;
                stream.set_nodelay(true)?;
                let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
                tokio::spawn(connection);
                self.http.insert((at, sender))
            }
        };
        let request = Request::post(path)
            .header("host", at.to_string())
            .header("content-type", "application/json")
            .body(Full::from(body.to_string()))?;
        sender.ready().await?;
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let text = answer.into_body().collect().await?.to_bytes();
        let has_failed = text.windows(7).any(|window| window == b"\"error\"");
        match status.is_success() && !has_failed {
            true => Ok(()),
            false => Err(format!("{status}: {}", String::from_utf8_lossy(&text)).into()),
        }
    }

    /// Ends sessions, each once those before it are closed. How long each took until its last stream was.
    pub(crate) async fn revoke(&mut self, revoke: &Revoke, meter: &Meter) -> Outcome<Value> {
        let mut took = Vec::new();
        for number in revoke.first..revoke.first + revoke.count {
            let closed = meter.closed() + revoke.streams;
            let invalidation = match revoke.what {
                Revoked::Sessions => SessionInvalidation {
                    device_session_id: device::session(number, revoke.users),
                    ..SessionInvalidation::default()
                },
                Revoked::Users => SessionInvalidation {
                    user_id: device::user(number, revoke.users),
                    ..SessionInvalidation::default()
                },
            };
            let begun = Instant::now();
            self.push.push(Kind::SessionInvalidation(invalidation))?;
            let last = meter.await_closed(closed).await?;
            took.push(u32::try_from((last - begun).as_micros()).unwrap_or(u32::MAX));
        }
        let (p50_us, p99_us) = quantiles(&mut took);
        Ok(json!({ "count": took.len(), "p50_us": p50_us, "p99_us": p99_us, "most_us": took.last() }))
    }
}

fn client_event(message: &Message, bytes: usize) -> ClientEvent {
    ClientEvent {
        user_id: message.user.clone().unwrap_or_default(),
        kind: "bench".to_owned(),
        payload: "x".repeat(bytes).into(),
        event_id: message.id.clone(),
        ..ClientEvent::default()
    }
}

/// The same payload, with the event's id in it.
fn payload(message: &Message, bytes: usize) -> String {
    format!("{}{}", message.id, "x".repeat(bytes.saturating_sub(message.id.len())))
}

fn channel(message: &Message) -> &str {
    message.user.as_deref().unwrap_or("all")
}

fn centrifugo(message: &Message, bytes: usize) -> Value {
    json!({ "publish": { "channel": channel(message), "data": payload(message, bytes) } })
}

fn pushpin(message: &Message, bytes: usize) -> Value {
    let formats = json!({ "ws-message": { "content": payload(message, bytes) } });
    json!({ "channel": channel(message), "formats": formats })
}
