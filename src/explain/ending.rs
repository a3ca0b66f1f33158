//! How a request ends.

use super::{
    explanation::{Answered, Sent, Upshot},
    incoming::Body,
    stand_in::{Call, listed, text},
    verdicts::detail,
};
use crate::{
    edge::offline as edge,
    listener::{head::HeadRefusal, offline::BodyEnd},
    plan::{Route, Target, services::RpcTarget},
    proxy::{self, context::RequestContext, reply},
    rpc::{self, offline},
    wire::Failure,
};
use bytes::Bytes;
use filters::{
    api::{Reason, Refusal},
    chain::Stop,
};
use http::{HeaderMap, Method, StatusCode};
use pingora_http::RequestHeader;
use proto::edge::v1::SubscribeOptions;

/// What stops a request, with a status of its own where its head is refused.
pub(super) enum Stopped {
    Head(HeadRefusal),
    Chain(Stop),
    Call(Failure),
    /// The first message of a WebSocket, which is closed with this code.
    Message(Refusal, u16),
    /// It failed while it was proxied, which ends its connection.
    Proxied(Refusal),
}

impl Stopped {
    /// What the client gets.
    pub(super) fn upshot(self, header: &RequestHeader, ctx: &mut RequestContext) -> Upshot {
        match self {
            Self::Head(refusal) => refused(Some(header), ctx, refusal.status, &refusal.refusal),
            Self::Chain(Stop::Refused(refusal)) | Self::Proxied(refusal) => {
                refused(Some(header), ctx, refusal.reason.http_status(), &refusal)
            }
            Self::Call(failure) => failed(header, ctx, &failure),
            Self::Message(refusal, code) => closed(ctx, &refusal, code),
            Self::Chain(Stop::Answered(status)) => {
                let answer = answered(ctx, status.as_u16(), HeaderMap::new(), &Bytes::new());
                Upshot::Answered { answer: Box::new(answer) }
            }
        }
    }
}

impl From<Stop> for Stopped {
    fn from(stop: Stop) -> Self {
        Self::Chain(stop)
    }
}

impl From<edge::Refused> for Stopped {
    fn from(refused: edge::Refused) -> Self {
        match refused {
            edge::Refused::Head(refusal) => Self::Head(refusal),
            edge::Refused::Stop(stop) => Self::Chain(stop),
            edge::Refused::Message(refusal, code) => Self::Message(refusal, code),
        }
    }
}

pub(super) fn refuse(refusal: Refusal) -> Stopped {
    Stopped::Chain(Stop::Refused(refusal))
}

/// A call of a service that an upstream serves.
pub(super) async fn call(
    header: &RequestHeader,
    body: &Body,
    ctx: &mut RequestContext,
    route: &Route,
    target: &RpcTarget,
) -> Result<Upshot, Stopped> {
    proxy::run_head(header, ctx, route).await?;
    proxy::run_rest(header, ctx, route).await?;
    let path = ctx.path.as_ref().map_or("", |path| path.as_str()).to_owned();
    let unknown = || refuse(Refusal::because(Reason::RouteUnknown, "no such method"));
    let method = target.services.find(&path).ok_or_else(unknown)?;
    let shape = rpc::Shape { is_unary: method.is_unary(), takes_get: method.is_unary() && method.has_no_side_effects };
    let asked = rpc::admit(header, ctx, shape).map_err(refuse)?;
    let read = |bytes_max: u64, too_large: Reason| body.read(header, bytes_max, too_large);
    let brought = (header, &body.bytes, &body.end);
    let messages = offline::messages(brought, &asked, method, ctx, &read).map_err(Stopped::Call)?;
    let unreadable = |length| format!("({length} bytes that are no {})", method.input.full_name());
    let shown = |message: Bytes| {
        let length = message.len();
        offline::shown(message, method).unwrap_or_else(|| unreadable(length))
    };
    let shown: Vec<String> = messages.into_iter().map(shown).collect();
    let goes_on = if body.end == BodyEnd::Whole { "" } else { ", and more of them" };
    let sent = Sent {
        upstream: target.name.clone(),
        method: Method::POST.to_string(),
        target: path,
        headers: listed(&rpc::metadata(header, ctx)),
        body: Some(shown.join("\n")).filter(|shown| !shown.is_empty()),
        message: Some(format!("{} over gRPC{goes_on}", method.input.full_name())),
        answered: None,
    };
    Ok(Upshot::Forwarded { sent: Box::new(sent), answer: None })
}

/// A stream of events that is opened with these options.
pub(super) fn opened(target: &Target, options: SubscribeOptions) -> Upshot {
    let source = match target {
        Target::Commands(target) => target.events.as_deref(),
        Target::Sse(target) => Some(target.source.as_ref()),
        Target::WebSocket(target) => Some(target.events.source.as_ref()),
        Target::Forward(_) | Target::Rpc(_) | Target::Publish(_) => None,
    };
    let events = source.map(|source| source.name.clone()).unwrap_or_default();
    let SubscribeOptions { resume_after, event_types } = options;
    Upshot::Opened { events, event_types, resume_after: Some(resume_after).filter(|position| !position.is_empty()) }
}

/// What is said where a backend would have had to be asked for a session, and nobody said what it answers.
pub(super) fn lacking(calls: &[Call]) -> Option<String> {
    let call = calls.iter().find(|call| !call.is_known)?;
    let Sent { upstream, method, target, .. } = &call.sent;
    Some(format!(
        "upstream `{upstream}` is asked {method} {target}, and its answer is not here: give it with --session"
    ))
}

/// Adds what a command's backend was sent.
pub(super) fn with_call(mut upshot: Upshot, calls: &[Call]) -> Upshot {
    let Some(call) = calls.iter().rev().find(|call| !call.is_lookup) else { return upshot };
    match upshot {
        Upshot::Answered { answer } => Upshot::Forwarded { sent: Box::new(call.sent.clone()), answer: Some(answer) },
        Upshot::Refused { ref mut sent, .. } => {
            *sent = Some(Box::new(call.sent.clone()));
            upshot
        }
        Upshot::Forwarded { .. } | Upshot::Opened { .. } | Upshot::Undecided { .. } => upshot,
    }
}

pub(super) fn answered(ctx: &RequestContext, status: u16, mut headers: HeaderMap, body: &Bytes) -> Answered {
    reply::add_common(&ctx.facts, &mut headers);
    Answered { status, headers: listed(&headers), body: text(body), result_code: None, closed_with: None }
}

pub(super) fn refused(
    header: Option<&RequestHeader>,
    ctx: &mut RequestContext,
    status: u16,
    refusal: &Refusal,
) -> Upshot {
    let of_call = header.filter(|header| rpc::is_call(header, ctx)).and_then(|h| rpc::refusal_status(h, refusal));
    reply::ensure_request_id(ctx);
    let answer = match of_call {
        Some(status) => {
            let mut headers = HeaderMap::new();
            if let Some(seconds) = refusal.retry_after_seconds {
                headers.insert(http::header::RETRY_AFTER, seconds.into());
            }
            answered(ctx, status, headers, &Bytes::new())
        }
        None => match reply::problem(ctx, status, refusal) {
            Ok((head, body)) => Answered {
                status,
                headers: listed(&head.headers),
                body: text(&body),
                result_code: None,
                closed_with: None,
            },
            Err(_) => answered(ctx, StatusCode::INTERNAL_SERVER_ERROR.as_u16(), HeaderMap::new(), &Bytes::new()),
        },
    };
    Upshot::Refused {
        reason: refusal.reason.as_str(),
        detail: detail(refusal),
        decided_by: None,
        sent: None,
        answer: Box::new(answer),
    }
}

/// A WebSocket that is closed over its first message.
fn closed(ctx: &mut RequestContext, refusal: &Refusal, code: u16) -> Upshot {
    reply::ensure_request_id(ctx);
    let switched = answered(ctx, StatusCode::SWITCHING_PROTOCOLS.as_u16(), HeaderMap::new(), &Bytes::new());
    Upshot::Refused {
        reason: refusal.reason.as_str(),
        detail: detail(refusal),
        decided_by: None,
        sent: None,
        answer: Box::new(Answered { closed_with: Some(code), ..switched }),
    }
}

/// A call whose messages are not taken.
fn failed(header: &RequestHeader, ctx: &mut RequestContext, failure: &Failure) -> Upshot {
    reply::ensure_request_id(ctx);
    let status = rpc::failure_status(header, failure).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR.as_u16());
    Upshot::Refused {
        reason: failure.reason.unwrap_or(Reason::Internal).as_str(),
        detail: failure.message.clone().into_owned(),
        decided_by: None,
        sent: None,
        answer: Box::new(answered(ctx, status, HeaderMap::new(), &Bytes::new())),
    }
}
