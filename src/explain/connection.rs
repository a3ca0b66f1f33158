//! A connection that is tried: where its requests end, and what the guard says to those that it does not let pass.

use super::{
    ending::refused,
    explanation::{Explanation, Upshot},
    incoming::Body,
    rehearsal::Rehearsal,
    request::{Form, Request, with_crlf},
    settings::{Setting, is_too_large, of_head},
    wire::{Arrived, arrive, line},
};
use crate::{
    config::source::Protocol,
    listener::{
        head::{HeadReader, HeadRefusal, list_size},
        offline::{BodyEnd, begins_http2, frame, other_protocol},
    },
    plan::PlannedListener,
    proxy::context::RequestContext,
};
use bytes::Bytes;
use filters::api::Reason;
use http::header::{CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING};
use pingora_http::RequestHeader;

impl Rehearsal {
    pub(super) async fn over_http2(&self, request: &Request, header: &RequestHeader, body: &Bytes) -> Explanation {
        let (mut ctx, mut told) = (self.context(request), self.untold(request));
        told.method = header.method.to_string();
        told.target = header.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
        let Some(listener) = self.served(request) else { return told };
        if !self.speaks(listener, Protocol::H2) {
            let refusal = other_protocol(listener.head, true);
            told.upshot = turned_away(&mut ctx, &refusal, Setting::protocols(&self.plan, &listener.name));
            return told;
        }
        let is_too_long = list_size(&header.method, &header.uri, &header.headers) > listener.head.bytes_max;
        let limit = is_too_long.then(|| Setting::of_listener(&self.plan, &listener.name, "head")).flatten();
        let arrived = Arrived {
            header: header.clone(),
            body: Body::whole(body.clone()),
            message: Bytes::new(),
            may_switch: false,
            lasts: true,
            end: 0,
        };
        self.decide(&arrived, request, &mut ctx, &mut told).await;
        if let (Upshot::Refused { decided_by, .. }, Some(limit)) = (&mut told.upshot, limit) {
            *decided_by = Some(limit);
        }
        told
    }

    /// Tells what becomes of the request at the front of these bytes. Gives those behind it, where the gateway reads on.
    pub(super) async fn over_http1(
        &self,
        request: &Request,
        bytes: &Bytes,
        message: &Bytes,
    ) -> (Explanation, Option<Bytes>) {
        let (mut ctx, mut told) = (self.context(request), self.untold(request));
        (told.method, told.target) = line(bytes);
        let Some(listener) = self.served(request) else { return (told, None) };
        // Under TLS it was agreed on before, and behind a request it stays as it is.
        let is_first = matches!(&request.form, Form::Http1 { wire, .. } if wire.len() == bytes.len());
        if is_first && !ctx.is_tls && self.speaks(listener, Protocol::H2) && begins_http2(bytes) {
            told.upshot = Upshot::Undecided { why: "it begins HTTP/2, whose frames are not read here".to_owned() };
            return (told, None);
        }
        if !self.speaks(listener, Protocol::Http1) {
            let refusal = other_protocol(listener.head, false);
            told.upshot = turned_away(&mut ctx, &refusal, Setting::protocols(&self.plan, &listener.name));
            return (told, None);
        }
        let mut arrived = match arrive(bytes, listener.head).await {
            Ok(Some(arrived)) => arrived,
            Ok(None) => {
                told.framing = Some("its head has no end: the gateway waits for that, and then answers".to_owned());
                told.upshot = turned_away(&mut ctx, &HeadRefusal::timeout(), Some(Setting::of_head(&self.plan)));
                return (told, None);
            }
            Err(refusal) => {
                let is_typed = || matches!(frame(&with_crlf(bytes), listener.head), Ok(Some(_)));
                told.framing = (!bytes.contains(&b'\r') && is_typed()).then(|| {
                    "its lines end in LF alone. Was it written in an editor? --crlf reads them as CR LF".to_owned()
                });
                told.upshot = turned_away(&mut ctx, &refusal, self.limit_of(listener, &refusal, bytes));
                return (told, None);
            }
        };
        arrived.message = message.clone();
        let is_over = self.decide(&arrived, request, &mut ctx, &mut told).await;
        let behind = Some(bytes.slice(arrived.end..)).filter(|behind| !is_blank(behind));
        let goes_on = !is_over && goes_on(&arrived, &ctx, &told.upshot);
        told.framing = framing(&arrived, behind.as_ref().map_or(0, Bytes::len), goes_on, &told.upshot);
        (told, behind.filter(|_| goes_on))
    }

    /// The request's listener, unless it serves the admin pages.
    fn served(&self, request: &Request) -> Option<&PlannedListener> {
        self.plan.listeners.iter().find(|listener| listener.name == request.listener && !listener.is_admin)
    }

    fn speaks(&self, listener: &PlannedListener, protocol: Protocol) -> bool {
        let written = self.plan.loaded.config.listeners.get(&listener.name);
        written.is_some_and(|written| written.protocols.contains(&protocol))
    }

    /// The limit of its listener that a refused head is over.
    fn limit_of(&self, listener: &PlannedListener, refusal: &HeadRefusal, bytes: &Bytes) -> Option<Setting> {
        let is_over = |limits| HeadReader::new(limits).read(bytes).is_err_and(|refusal| is_too_large(&refusal));
        is_too_large(refusal).then(|| of_head(&self.plan, listener, is_over)).flatten()
    }
}

fn turned_away(ctx: &mut RequestContext, refusal: &HeadRefusal, setting: Option<Setting>) -> Upshot {
    let mut upshot = refused(None, ctx, refusal.status, &refusal.refusal);
    if let Upshot::Refused { decided_by, .. } = &mut upshot {
        *decided_by = setting;
    }
    upshot
}

/// One empty line may stand ahead of a request. It is no request by itself.
fn is_blank(behind: &[u8]) -> bool {
    matches!(behind, b"" | b"\r\n")
}

/// Whether the gateway reads another request from the connection.
fn goes_on(arrived: &Arrived, ctx: &RequestContext, upshot: &Upshot) -> bool {
    let tunnels = || arrived.may_switch && ctx.forward().is_some_and(|forward| forward.websocket);
    // A client that was not asked for its body is not held to sending it.
    let waits = || arrived.header.headers.contains_key(EXPECT) && !arrived.body.is_none();
    let ends = match upshot {
        Upshot::Opened { .. } => true,
        Upshot::Forwarded { .. } => tunnels(),
        Upshot::Refused { .. } => waits(),
        Upshot::Answered { .. } | Upshot::Undecided { .. } => false,
    };
    arrived.lasts && arrived.body.end == BodyEnd::Whole && !ends
}

/// What is to be said of where a request ends, with so many bytes behind it.
fn framing(arrived: &Arrived, behind: usize, goes_on: bool, upshot: &Upshot) -> Option<String> {
    let came = arrived.body.bytes.len() as u64;
    let count = |bytes: u64| format!("{bytes} byte{}", if bytes == 1 { "" } else { "s" });
    let headers = &arrived.header.headers;
    match &arrived.body.end {
        BodyEnd::Broken(what) => Some(what.clone()),
        BodyEnd::Awaited(missing) => {
            let lacks = match missing {
                Some(missing) => format!("{missing} of {}", count(came.saturating_add(*missing))),
                None => "its last chunk".to_owned(),
            };
            let is_waited_for =
                matches!(upshot, Upshot::Refused { reason, .. } if *reason == Reason::RequestTimeout.as_str());
            let then = if is_waited_for { ": the gateway waits for that, and then answers" } else { "" };
            Some(format!("its body lacks {lacks}{then}"))
        }
        BodyEnd::Whole if behind == 0 => None,
        BodyEnd::Whole => {
            let is_told = headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING);
            let ends = match is_told {
                true => format!("its body ends after {}", count(came)),
                false => "neither Content-Length nor Transfer-Encoding says that it has a body".to_owned(),
            };
            let stands = if behind == 1 { "stands" } else { "stand" };
            let what = if goes_on { "read as another request" } else { "not read: the connection ends here" };
            Some(format!("{ends}. {} {stands} behind it, {what}", count(behind as u64)))
        }
    }
}
