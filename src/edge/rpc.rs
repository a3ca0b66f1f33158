//! The service over Connect, gRPC and gRPC-Web.

use super::{
    deliver::{Heard, Transport, deliver, encoded},
    execute::execute,
    request::SignedRequest,
    subscribe::{events, subscribe},
};
use crate::{
    events::{
        Events,
        hub::{Encoded, Subscriber},
    },
    plan::{CommandTarget, Route},
    proxy::{Gateway, context::RequestContext, reply},
    rpc::{
        Answer, Asked, Codec, MessageFault, Shape, Unread, admit, deadline, gone, message_bytes_max, reached,
        read_message, refusal, run_head,
    },
    wire::{Code, Failure},
};
use bytes::{Bytes, BytesMut};
use filters::{
    api::{Reason, Refusal},
    chain::Stop,
};
use http::HeaderMap;
use pingora_core::Result;
use pingora_proxy::Session;
use pingora_timeout::timeout;
use prost::Message as _;
use proto::edge::v1::ExecuteCommandResponse;
use std::sync::Arc;
use tokio::time::Instant;

pub(super) const EXECUTE: &str = "/edge.v1.Gateway/ExecuteCommand";
pub(super) const SUBSCRIBE: &str = "/edge.v1.Gateway/SubscribeEvents";

/// A request, read whole.
struct Received {
    asked: Asked,
    message: Bytes,
    /// What is subscribed to; none of a command.
    events: Option<Arc<Events>>,
}

/// What a request has come to.
enum Outcome {
    /// A response, encoded.
    Answered(Bytes),
    /// A stream.
    Opened(Subscriber),
}

/// Answers one request to a route that carries commands.
///
/// # Errors
/// Where the client has gone.
pub async fn serve(
    gateway: &Gateway,
    session: &mut Session,
    ctx: &mut RequestContext,
    route: &Route,
    target: &CommandTarget,
) -> Result<()> {
    let received = match receive(gateway, session, ctx, route, target).await? {
        Ok(received) => received,
        Err(Stop::Refused(refusal)) => return gateway.refuse(session, ctx, &refusal).await.map(drop),
        Err(Stop::Answered(status)) => return reply::answer(session, ctx, status).await,
    };
    let asked = &received.asked;
    let due = deadline(ctx.started, asked.timeout, None);
    let mut request = SignedRequest::new(gateway, session.req_header(), ctx, route, &target.invalidations);
    request.deadline = due;
    let outcome = work(&mut request, target, &received).await;
    request.into_found().keep(ctx);
    let headers = refusal::answer_headers(&ctx.facts);
    let answer = Answer::to(asked);
    match outcome {
        Ok(Outcome::Answered(response)) => answer.whole(session, headers, response, &HeaderMap::new()).await,
        Ok(Outcome::Opened(subscriber)) => {
            let mut stream = Stream { answer, codec: asked.caller.codec, deadline: due };
            stream.answer.begin(session, headers).await?;
            ctx.refused = deliver(session, &mut stream, subscriber).await?;
            Ok(())
        }
        Err(refusal) => {
            ctx.refused = Some(refusal.reason);
            answer.fail(session, headers, &refusal::to_failure(&refusal)).await
        }
    }
}

/// Runs the filters that need no body, and reads what the request brings.
async fn receive(
    gateway: &Gateway,
    session: &mut Session,
    ctx: &mut RequestContext,
    route: &Route,
    target: &CommandTarget,
) -> Result<std::result::Result<Received, Stop>> {
    if let Err(stop) = run_head(session, ctx, route).await {
        return Ok(Err(stop));
    }
    let refuse = |reason, what| Ok(Err(Stop::Refused(Refusal::because(reason, what))));
    let is_stream = match ctx.path.as_ref().map_or("", |path| path.as_str()) {
        EXECUTE => false,
        SUBSCRIBE => true,
        _ => return refuse(Reason::RouteUnknown, "no such method"),
    };
    let asked = match admit(session.req_header(), ctx, Shape { is_unary: !is_stream, takes_get: false }) {
        Ok(asked) => asked,
        Err(refusal) => return Ok(Err(Stop::Refused(refusal))),
    };
    let bytes_max = message_bytes_max(ctx);
    let message = match read_message(session, ctx, &asked, bytes_max).await? {
        Ok(message) => message,
        Err(unread) => return Ok(Err(Stop::Refused(unread.into()))),
    };
    if !is_stream {
        return Ok(Ok(Received { asked, message, events: None }));
    }
    let events = events(gateway, target.events.as_deref());
    Ok(events.map(|events| Received { asked, message, events: Some(events) }).map_err(Stop::Refused))
}

/// Does what is asked for, as long as the caller waits for it.
async fn work(
    request: &mut SignedRequest<'_>,
    target: &CommandTarget,
    received: &Received,
) -> std::result::Result<Outcome, Refusal> {
    let (message, codec) = (&received.message, received.asked.caller.codec);
    let due = request.deadline;
    let working = async {
        match &received.events {
            Some(events) => subscribe(request, message, codec, events).await.map(Outcome::Opened),
            None => encode(&execute(request, target, message, codec).await?, codec).map(Outcome::Answered),
        }
    };
    let Some(due) = due else { return working.await };
    let left = due.saturating_duration_since(Instant::now());
    timeout(left, working).await.unwrap_or_else(|_| Err(Refusal::new(Reason::BackendTimeout)))
}

/// A stream of messages in the caller's protocol.
struct Stream {
    answer: Answer,
    codec: Codec,
    deadline: Option<Instant>,
}

/// The caller's time is over.
struct Late;

impl Transport for Stream {
    type Parting = Late;

    async fn hear(&mut self, session: &mut Session) -> Result<Heard<Late>> {
        tokio::select! {
            biased;
            () = reached(self.deadline) => Ok(Heard::Over(Late)),
            error = gone(session) => Err(error),
        }
    }

    fn put(&self, event: &Encoded, frames: &mut BytesMut) {
        frames.extend_from_slice(&self.answer.frame(encoded(event, self.codec)));
    }

    async fn write(&mut self, session: &mut Session, frames: Bytes) -> Result<()> {
        self.answer.write(session, frames).await
    }

    async fn end(&mut self, session: &mut Session, reason: Reason) -> Result<()> {
        let failure = refusal::to_failure(&Refusal::new(reason));
        self.answer.finish(session, Some(&failure), &HeaderMap::new()).await
    }

    async fn part(&mut self, session: &mut Session, _: Late) -> Result<Option<Reason>> {
        let late = Failure::new(Code::DeadlineExceeded, "the caller's time is over");
        self.answer.finish(session, Some(&late), &HeaderMap::new()).await.map(|()| None)
    }
}

fn encode(response: &ExecuteCommandResponse, codec: Codec) -> std::result::Result<Bytes, Refusal> {
    match codec {
        Codec::Proto => Ok(response.encode_to_vec().into()),
        Codec::Json => serde_json::to_vec(response).map(Bytes::from).map_err(|error| {
            tracing::error!(%error, "a response cannot be written as JSON");
            Refusal::new(Reason::Internal)
        }),
    }
}

/// What the contract's first check says of a request that holds no whole message.
impl From<Unread> for Refusal {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Refused(refusal) => refusal,
            Unread::Fault(fault) if fault.is_too_large() => Self::new(Reason::MessageTooLarge),
            Unread::Fault(fault) => invalid(fault),
        }
    }
}

fn invalid(fault: MessageFault) -> Refusal {
    Refusal::because(Reason::EnvelopeInvalid, fault.to_string())
}
