//! A stream of events: opened by a signed request, and read event by event, each verified before it is handed out.

mod frames;

use super::{
    CallError, Client, Device, Dialect, Endpoint, Protocol, Refused, Unverified,
    frame::{Frame, TRAILERS, parse_trailers},
    transport::{causes, read},
};
use frames::Frames;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use proto::edge::v1::{Event, SubscribeOptions};
use serde::Deserialize;
use std::{fmt, time::Duration};
use tokio::time::timeout;

const SUBSCRIBE_EVENTS: &str = "/edge.v1.Gateway/SubscribeEvents";
const SERVER_TIME: &str = "gateway.server_time";
const HEARTBEAT: &str = "gateway.heartbeat";
/// The flag of the frame that ends a stream in Connect.
const CONNECT_END: u8 = 0x02;

/// An open stream. It is closed when this is dropped.
pub struct Subscription {
    /// What the gateway has opened it with: `gateway.server_time`.
    pub opened: Event,
    /// Whether nothing is missing after the position that was asked for; true where none was.
    pub resumed: bool,
    position: String,
    device: Device,
    stream: Stream,
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("position", &self.position).finish_non_exhaustive()
    }
}

/// The payload of `gateway.server_time`, as far as it counts here.
#[derive(Deserialize)]
struct ServerTime {
    resumed: bool,
}

impl Client {
    /// Opens a stream of events for a device.
    ///
    /// # Errors
    /// Where the gateway refused it, nothing came within the client's deadline, or what came first was not the
    /// gateway's answer to this very request.
    pub async fn subscribe(
        &self,
        endpoint: &Endpoint,
        dialect: Dialect,
        device: &Device,
        options: &SubscribeOptions,
    ) -> Result<Subscription, CallError> {
        let request = device.sign_subscription(options)?;
        let (headers, body) = (dialect.stream_headers(), dialect.framed(&request)?);
        let opening = async {
            let response = self.post(endpoint, dialect.http_version(), SUBSCRIBE_EVENTS, headers, body).await?;
            let mut stream = Stream::begin(dialect, response).await?;
            let first = stream.next().await?;
            Ok::<_, CallError>((stream, first.ok_or_else(|| malformed("a stream that ends before it has begun"))?))
        };
        let (stream, opened) =
            timeout(self.deadline, opening).await.map_err(|_| CallError::Deadline(self.deadline))??;
        if opened.event_type != SERVER_TIME {
            return Err(malformed("a stream that does not begin with the server's time"));
        }
        device.verify_event(&opened)?;
        // Otherwise a stream that was recorded could be played again.
        if opened.request_id != request.request_id {
            return Err(Unverified::RequestId(opened.request_id).into());
        }
        let ServerTime { resumed } = serde_json::from_slice(&opened.payload_bytes).map_err(malformed)?;
        // What was missed comes only now, at positions ahead of the newest.
        let is_behind = resumed && !options.resume_after.is_empty();
        let position = if is_behind { options.resume_after.clone() } else { opened.position.clone() };
        Ok(Subscription { opened, resumed, position, device: device.clone(), stream })
    }
}

impl Subscription {
    /// What to resume after: the position of the last event that was handed out.
    #[must_use]
    pub fn position(&self) -> &str {
        &self.position
    }

    /// The next event, verified; `None` where the gateway has ended the stream without a reason. May be dropped and
    /// called again.
    ///
    /// # Errors
    /// Why the gateway ended it, a connection that broke, nothing, not even a heartbeat, for as long as `silence`, or an
    /// event that is not to be believed.
    pub async fn next(&mut self, silence: Duration) -> Result<Option<Event>, CallError> {
        loop {
            let came = timeout(silence, self.stream.next()).await.map_err(|_| CallError::Silence(silence))??;
            let Some(event) = came else { return Ok(None) };
            if event.event_type == HEARTBEAT {
                let plain = Event { event_type: HEARTBEAT.to_owned(), ..Event::default() };
                if event == plain { continue } else { return Err(Unverified::Heartbeat.into()) }
            }
            self.device.verify_event(&event)?;
            if !event.subject.is_empty() && event.subject != self.opened.subject {
                return Err(Unverified::Subject(event.subject).into());
            }
            self.position.clone_from(&event.position);
            return Ok(Some(event));
        }
    }
}

/// The body of an answer, as events and an end.
struct Stream {
    dialect: Dialect,
    status: StatusCode,
    /// Headers, and in the end trailers.
    headers: HeaderMap,
    body: Incoming,
    frames: Frames,
}

impl Stream {
    async fn begin(dialect: Dialect, response: http::Response<Incoming>) -> Result<Self, CallError> {
        if response.status() != StatusCode::OK {
            let reply = read(response).await?;
            let refused = Refused::from_connect(reply.status, &reply.headers, &reply.body)?;
            return Err(CallError::Refused(Box::new(refused)));
        }
        dialect.expect_media_type(response.headers(), dialect.stream_content_type())?;
        let (head, body) = response.into_parts();
        let frames = Frames::new(dialect.protocol == Protocol::GrpcWebText);
        Ok(Self { dialect, status: head.status, headers: head.headers, body, frames })
    }

    /// The next event, a heartbeat too; `None` at an end without a reason.
    async fn next(&mut self) -> Result<Option<Event>, CallError> {
        loop {
            if let Some(Frame { flags, payload }) = self.frames.next()? {
                return match (flags, self.dialect.protocol) {
                    (0, _) => self.dialect.decode(&payload).map(Some),
                    (CONNECT_END, Protocol::Connect) => {
                        let refused = Refused::from_connect_end(&self.headers, &payload)?;
                        refused.map_or(Ok(None), |refused| Err(CallError::Refused(Box::new(refused))))
                    }
                    (TRAILERS, Protocol::GrpcWeb | Protocol::GrpcWebText) => {
                        self.headers.extend(parse_trailers(&payload).map_err(malformed)?);
                        self.end()
                    }
                    _ => Err(malformed(format!("a frame with the flags {flags:#04x}"))),
                };
            }
            let broken = |what: String| Err(CallError::Unreachable(what));
            match self.body.frame().await {
                Some(Ok(piece)) => match piece.into_data() {
                    Ok(data) => self.frames.add(&data)?,
                    Err(trailers) => {
                        self.headers.extend(trailers.into_trailers().unwrap_or_default());
                        return self.end();
                    }
                },
                Some(Err(fault)) => return broken(causes(&fault)),
                // gRPC's status may stand in the headers of an answer that is nothing else.
                None if self.headers.contains_key("grpc-status") => return self.end(),
                None => return broken("the stream broke off".to_owned()),
            }
        }
    }

    /// What the trailers say.
    fn end(&self) -> Result<Option<Event>, CallError> {
        let refused = Refused::from_trailers(self.status, &self.headers)?;
        refused.map_or(Ok(None), |refused| Err(CallError::Refused(Box::new(refused))))
    }
}

fn malformed(fault: impl fmt::Display) -> CallError {
    CallError::Malformed(fault.to_string())
}

#[cfg(test)]
mod tests;
