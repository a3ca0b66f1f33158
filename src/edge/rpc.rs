//! The service over Connect, gRPC and gRPC-Web.

use super::{
    deliver::{self, Heard, Transport},
    execute::execute,
    frames::{Form, encoded, framed},
    request::SignedRequest,
    subscribe::{events, subscribe},
};
use crate::{
    events::{
        Events,
        hub::{Encoded, Subscriber},
    },
    plan::{CommandTarget, Route},
    proxy::{Gateway, Gone, Outlet, context::RequestContext, reply},
    rpc::{
        Answer, Asked, Codec, MessageFault, Shape, Unread, admit, deadline, message_bytes_max, read_message, refusal,
        run_head,
    },
    wire::{Code, Failure},
};
use bytes::Bytes;
use filters::{
    api::{Reason, Refusal},
    chain::Stop,
};
use http::HeaderMap;
use pingora_proxy::Session;
use pingora_timeout::timeout;
use prost::Message as _;
use proto::edge::v1::ExecuteCommandResponse;
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::time::{Instant, Sleep, sleep_until};

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
enum Served {
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
) -> pingora_core::Result<()> {
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
        Ok(Served::Answered(response)) => answer.whole(session, headers, response, &HeaderMap::new()).await,
        Ok(Served::Opened(subscriber)) => {
            answer.begin_last(session, headers).await?;
            if let Some(outlet) = gateway.hand_over(session, ctx) {
                let deadline = due.map(|due| Box::pin(sleep_until(due)));
                deliver::spawn(outlet, Stream { answer, deadline }, subscriber);
            }
            Ok(())
        }
        Err(refusal) => {
            ctx.note_refusal(&refusal);
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
) -> pingora_core::Result<Result<Received, Stop>> {
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
async fn work(request: &mut SignedRequest<'_>, target: &CommandTarget, received: &Received) -> Result<Served, Refusal> {
    let (message, codec) = (&received.message, received.asked.caller.codec);
    let due = request.deadline;
    let working = async {
        match &received.events {
            Some(events) => subscribe(request, message, codec, events).await.map(Served::Opened),
            None => encode(&execute(request, target, message, codec).await?, codec).map(Served::Answered),
        }
    };
    let Some(due) = due else { return working.await };
    let left = due.saturating_duration_since(Instant::now());
    timeout(left, working).await.unwrap_or_else(|_| Err(Refusal::new(Reason::BackendTimeout)))
}

/// A stream of messages in the caller's protocol.
struct Stream {
    answer: Answer,
    deadline: Option<Pin<Box<Sleep>>>,
}

/// The caller's time is over.
struct Late;

impl Transport for Stream {
    type Parting = Late;

    fn poll_hear(&mut self, outlet: &mut Outlet, cx: &mut Context<'_>) -> Poll<Result<Heard<Late>, Gone>> {
        if self.deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(cx).is_ready()) {
            return Poll::Ready(Ok(Heard::Over(Late)));
        }
        outlet.poll_heard(cx).map(|_| Err(Gone))
    }

    fn frame(&self, event: &Arc<Encoded>) -> Bytes {
        let (codec, encoding) = self.answer.form();
        framed(event, Form::Rpc(codec, encoding), || self.answer.frame(encoded(event, codec)))
    }

    fn written(&self, frames: Bytes) -> Bytes {
        self.answer.written(frames)
    }

    async fn end(&mut self, outlet: &mut Outlet, reason: Reason) -> Result<(), Gone> {
        let failure = refusal::to_failure(&Refusal::new(reason));
        outlet.end(self.answer.last(Some(&failure), &HeaderMap::new())).await
    }

    async fn part(&mut self, outlet: &mut Outlet, _: Late) -> Result<Option<Reason>, Gone> {
        let late = Failure::new(Code::DeadlineExceeded, "the caller's time is over");
        outlet.end(self.answer.last(Some(&late), &HeaderMap::new())).await.map(|()| None)
    }
}

fn encode(response: &ExecuteCommandResponse, codec: Codec) -> Result<Bytes, Refusal> {
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
