//! One request, from its head to what becomes of it.

use super::{
    considered::{considered, route_place, shut_place},
    ending::{Stopped, answered, call, lacking, opened, refuse, refused, with_call},
    explanation::{Explanation, Sent, Upshot},
    incoming::{Body, Whole, announced},
    rehearsal::Rehearsal,
    request::Request,
    settings::{Setting, is_too_large},
    stand_in::{listed, text},
    verdicts::{blame_body, verdicts},
    wire::Arrived,
};
use crate::{
    edge::offline as edge,
    plan::{Forward, Route, Target},
    proxy::{self, Unrouted, context::RequestContext, reply},
};
use filters::{
    api::{Reason, Refusal},
    chain::Stop,
};
use http::{HeaderMap, Method};
use pingora_http::RequestHeader;
use std::sync::Arc;

impl Rehearsal {
    /// Tells what becomes of a request that has passed the guard. Gives whether it takes its connection with it.
    pub(super) async fn decide(
        &self,
        arrived: &Arrived,
        request: &Request,
        ctx: &mut RequestContext,
        told: &mut Explanation,
    ) -> bool {
        let mut recognised = arrived.header.clone();
        proxy::recognise(&mut recognised, ctx, Some(request.peer));
        let header = &recognised;
        let is_dropped = |name: &&http::HeaderName| !header.headers.contains_key(*name);
        told.dropped_headers = arrived.header.headers.keys().filter(is_dropped).map(ToString::to_string).collect();
        told.client_ip = ctx.client_ip;
        let Some(route) = self.find_route(header, ctx, told) else { return false };
        ctx.route = Some(Arc::clone(&route).into());
        told.route = Some(route.name.clone());
        told.target_name = Some(route.target_name());
        let index = self.plan.routes.iter().position(|known| Arc::ptr_eq(known, &route)).unwrap_or(usize::MAX);
        told.route_at = Some(route_place(&self.plan, index));
        let reached = self.reach(header, arrived, ctx, &route).await;
        let calls = self.backends.take();
        let lacks = lacking(&calls);
        let is_over = matches!(reached, Err(Stopped::Proxied(_)));
        told.filters = verdicts(&self.plan, index, &self.said(index), lacks.as_deref());
        let upshot = match (reached, lacks) {
            (Err(_), Some(why)) => Upshot::Undecided { why },
            (Ok(upshot), _) => upshot,
            (Err(stopped), None) => stopped.upshot(header, ctx),
        };
        told.upshot = with_call(upshot, &calls);
        told.asked = calls.into_iter().filter(|call| call.is_lookup).map(|call| call.sent).collect();
        self.say_what_decides(arrived, ctx, (&route, index), told);
        is_over
    }

    /// Its route, or why it has none.
    fn find_route(
        &self,
        header: &RequestHeader,
        ctx: &mut RequestContext,
        told: &mut Explanation,
    ) -> Option<Arc<Route>> {
        let found = proxy::find_route(header, ctx);
        if let Some(path) = &ctx.path {
            told.path = Some(path.as_str().to_owned());
            told.shut_at = shut_place(&self.plan, path);
            if told.shut_at.is_none() {
                let chosen = found.as_ref().ok().map(AsRef::as_ref);
                let listener = &told.listener;
                (told.considered, told.others) = considered(&self.plan, listener, header, path, chosen);
            }
        }
        let refusal = match found {
            Ok(route) => return Some(route),
            Err(Unrouted::Refused(refusal)) => refusal,
            Err(Unrouted::Answered(status)) => {
                reply::ensure_request_id(ctx);
                told.upshot = Stopped::from(Stop::Answered(status)).upshot(header, ctx);
                return None;
            }
        };
        told.upshot = refused(Some(header), ctx, refusal.status, &refusal.refusal);
        // In HTTP/2 the guard counts the headers here, and the h2 crate their bytes before.
        if is_too_large(&refusal)
            && let Upshot::Refused { decided_by, .. } = &mut told.upshot
        {
            *decided_by = Setting::of_listener(&self.plan, &told.listener, "headers");
        }
        None
    }

    /// Says what refuses a request, where none of its filters has said it.
    fn say_what_decides(
        &self,
        arrived: &Arrived,
        ctx: &RequestContext,
        (route, index): (&Route, usize),
        told: &mut Explanation,
    ) {
        let is_judged = told.stopped_by().is_some();
        let Upshot::Refused { reason, detail, decided_by, .. } = &mut told.upshot else { return };
        if is_judged {
            return;
        }
        let is = |known: Reason| *reason == known.as_str();
        let is_large = is(Reason::BodyTooLarge) || is(Reason::MessageTooLarge);
        if is_large && is_filters_limit(arrived, ctx) {
            blame_body(&self.plan, index, &mut told.filters, format!("{reason}: {detail}"));
        } else if is_large {
            *decided_by = Setting::of_listener(&self.plan, &told.listener, "body");
        } else if is(Reason::RequestTimeout) {
            let forward = ctx.forward().filter(|_| route.chain.body_need().is_none());
            *decided_by = Some(Setting::of_body(&self.plan, forward));
        } else {
            *decided_by = Setting::of_target(&self.plan, index, ctx, reason);
        }
    }

    /// Runs the chain, and what comes behind it.
    async fn reach(
        &self,
        header: &RequestHeader,
        arrived: &Arrived,
        ctx: &mut RequestContext,
        route: &Route,
    ) -> Result<Upshot, Stopped> {
        let Arrived { body, message, may_switch, .. } = arrived;
        let clock = self.clock.as_ref();
        let read = |bytes_max: u64, too_large: Reason| body.read(header, bytes_max, too_large);
        let tried = match &route.target {
            Target::Forward(forward) => {
                pass(header, body, ctx, route).await?;
                return self.forward(header, arrived, ctx, forward);
            }
            Target::Publish(keys) => {
                pass(header, body, ctx, route).await?;
                if !matches!(header.method, Method::GET | Method::HEAD) {
                    let allow = Some("GET, HEAD".to_owned());
                    return Err(refuse(Refusal { allow, ..Refusal::new(Reason::MethodNotAllowed) }));
                }
                let answer = answered(ctx, 200, HeaderMap::new(), &keys.document);
                return Ok(Upshot::Answered { answer: Box::new(answer) });
            }
            Target::Rpc(target) => return call(header, body, ctx, route, target).await,
            Target::Commands(target) => edge::rpc((header, &read), ctx, route, target, clock).await?,
            Target::Sse(target) => edge::sse((header, &read), ctx, route, target, clock).await?,
            Target::WebSocket(target) => {
                let has_body = !body.is_none();
                let handshake = edge::Handshake { header, may_switch: *may_switch, has_body };
                match edge::websocket((handshake, message.clone()), ctx, route, target, clock).await? {
                    Some(tried) => tried,
                    None => {
                        let why = "its first message decides the rest: give it as the request's body".to_owned();
                        return Ok(Upshot::Undecided { why });
                    }
                }
            }
        };
        Ok(match tried {
            edge::Tried::Answered(response) => {
                let mut answer = answered(ctx, 200, HeaderMap::new(), &response.payload_bytes);
                answer.result_code = Some(response.result_code);
                Upshot::Answered { answer: Box::new(answer) }
            }
            edge::Tried::Opened(options) => opened(&route.target, options),
        })
    }

    fn forward(
        &self,
        header: &RequestHeader,
        Arrived { body, may_switch, .. }: &Arrived,
        ctx: &RequestContext,
        forward: &Forward,
    ) -> Result<Upshot, Stopped> {
        if body.bytes.len() as u64 > ctx.body_bytes_max() {
            return Err(Stopped::Proxied(Refusal::new(Reason::BodyTooLarge)));
        }
        body.came().map_err(Stopped::Proxied)?;
        let switches = forward.websocket && *may_switch;
        // Pingora does this ahead of the gateway's own changes.
        let mut headers = header.headers.clone();
        proxy::strip(&mut headers, switches);
        let (mut parts, ()) = http::Request::new(()).into_parts();
        (parts.method, parts.uri, parts.version) = (header.method.clone(), header.uri.clone(), header.version);
        parts.headers = headers;
        let mut sent = RequestHeader::from(parts);
        if proxy::rewrite(ctx, forward, &mut sent).is_err() {
            return Err(Stopped::Proxied(Refusal::new(Reason::Internal)));
        }
        if body.is_none() && proxy::needs_length(&sent) {
            proxy::tell_no_body(&mut sent);
        }
        let upstream = forward.upstream.name();
        let given = self.backends.given(upstream);
        let answer = given.map(|given| {
            let mut headers = given.headers.clone();
            proxy::strip(&mut headers, false);
            Box::new(answered(ctx, given.status.as_u16(), headers, &given.body))
        });
        let target = sent.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let sent = Sent {
            upstream: upstream.to_owned(),
            method: sent.method.to_string(),
            target: target.to_owned(),
            headers: listed(&sent.headers),
            body: text(&body.bytes),
            message: None,
            answered: given.map(|given| given.status.as_u16().to_string()),
        };
        Ok(Upshot::Forwarded { sent: Box::new(sent), answer })
    }
}

async fn pass(header: &RequestHeader, body: &Body, ctx: &mut RequestContext, route: &Route) -> Result<(), Stopped> {
    let passed = proxy::run_chain(&mut Whole { header, body }, ctx, route).await;
    passed.unwrap_or_else(|_| Err(Stop::Refused(Refusal::new(Reason::Internal))))?;
    proxy::last_stop(header, ctx, route).map_or(Ok(()), |stop| Err(stop.into()))
}

/// Whether a body is too large for a filter, and not for the listener.
fn is_filters_limit(arrived: &Arrived, ctx: &RequestContext) -> bool {
    let listener_max = ctx.listener().map_or(u64::MAX, |listener| listener.body_bytes_max);
    let is_plain =
        ctx.route.as_ref().is_some_and(|route| matches!(route.target, Target::Forward(_) | Target::Publish(_)));
    // A length that is over the listener's limit is refused ahead of the filters that read the body.
    let is_announced = is_plain && announced(&arrived.header).is_some_and(|length| length > listener_max);
    let is_filters = |max: u64| max < listener_max || is_plain && max == listener_max;
    !is_announced && (ctx.facts.stopped_by.is_some() || ctx.facts.body_bytes_max.is_some_and(is_filters))
}
