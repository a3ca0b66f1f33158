//! A plan that is tried.

use super::{
    clock::SetClock,
    considered::{considered, place, route_place, shut_place},
    ending::{Stopped, answered, call, events_of, lacking, refuse, refused, with_call},
    explanation::{Explanation, Outcome, Sent},
    incoming::Whole,
    offline::{env, offline},
    request::Request,
    stand_in::{Answers, Backends, listed, text},
    verdicts::{Said, verdicts},
};
use crate::{
    config::Loaded,
    edge::offline as edge,
    plan::{self, BuildProblem, Forward, Outside, Plan, Route, Target},
    proxy::{self, context::RequestContext},
    telemetry::metrics::Metrics,
    upstream::StandIn,
};
use bytes::Bytes;
use filters::{
    api::{Clock, Reason, Refusal},
    chain::{Chain, Stop, Verdict, Watch},
    session::Invalidations,
};
use http::{HeaderMap, Method};
use pingora_http::RequestHeader;
use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// A store knows nothing of what was signed before it was there. This one was there a day before.
const BEFORE: Duration = Duration::from_secs(86_400);

/// A plan that is tried: what it counts and remembers lasts from one request to the next.
pub struct Rehearsal {
    plan: Arc<Plan>,
    clock: Arc<SetClock>,
    backends: Arc<Backends>,
    /// What filters said: the route's place, and the verdict.
    said: Arc<Mutex<Vec<(usize, Said)>>>,
    metrics: Metrics,
}

/// Why a configuration cannot be tried.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalFault {
    /// It gives no plan.
    #[error(transparent)]
    Build(#[from] BuildProblem),
    /// There are no counters.
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
}

impl Rehearsal {
    /// Compiles a configuration to be tried at this time (Unix milliseconds), with backends that answer so.
    ///
    /// # Errors
    /// Where it gives no plan.
    pub fn new(loaded: Loaded, at_ms: i64, answers: Answers) -> Result<Self, RehearsalFault> {
        let loaded = offline(loaded);
        let backends = Arc::new(Backends::new(&loaded.config, answers));
        let before_ms = i64::try_from(BEFORE.as_millis()).unwrap_or(i64::MAX);
        let clock = Arc::new(SetClock::new(at_ms.saturating_sub(before_ms)));
        let metrics = Metrics::new()?;
        let invalidations = Arc::new(Invalidations::new(Arc::<SetClock>::clone(&clock)));
        let outside = Outside {
            clock: Arc::<SetClock>::clone(&clock),
            metrics: &metrics,
            invalidations: &invalidations,
            env: &env,
        };
        let mut plan = plan::build(loaded, &outside, None)?;
        for upstream in plan.upstreams.values() {
            upstream.part.answer_instead(Arc::<Backends>::clone(&backends) as Arc<dyn StandIn>);
        }
        let said = Arc::default();
        watch(&mut plan, &said);
        clock.pass(BEFORE);
        Ok(Self { plan: Arc::new(plan), clock, backends, said, metrics })
    }

    /// So much time passes.
    pub fn pass(&self, time: Duration) {
        self.clock.pass(time);
    }

    /// What time it is, Unix milliseconds.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.clock.unix_ms()
    }

    /// The plan that is tried.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Tries a request.
    pub async fn explain(&self, request: &Request) -> Explanation {
        let mut ctx = RequestContext::new(Arc::clone(&self.plan), &self.metrics.in_flight, self.clock.unix_ms());
        let place_of = |name: &str| self.plan.listeners.iter().position(|listener| listener.name == name);
        ctx.listener = place_of(&request.listener).unwrap_or(usize::MAX);
        let config = self.plan.loaded.config.listeners.get(&request.listener);
        ctx.is_tls = config.is_some_and(|listener| listener.tls.is_some());
        let (method, target) = request.line();
        let mut told = Explanation {
            listener: request.listener.clone(),
            listener_at: place(&self.plan, &format!("/listeners/{}", request.listener)),
            client_ip: request.peer,
            method,
            target,
            path: None,
            shut_at: None,
            dropped_headers: Vec::new(),
            considered: Vec::new(),
            others: 0,
            route: None,
            route_at: None,
            target_name: None,
            filters: Vec::new(),
            asked: Vec::new(),
            outcome: Outcome::Undecided { why: "the listener serves the admin pages, and no routes".to_owned() },
        };
        let Some(listener) = ctx.listener().filter(|listener| !listener.is_admin) else { return told };
        match request.header(listener.head) {
            Ok(header) => self.decide(header, request, &mut ctx, &mut told).await,
            Err(refusal) => told.outcome = refused(None, &mut ctx, refusal.status, &refusal.refusal),
        }
        told
    }

    async fn decide(
        &self,
        mut header: RequestHeader,
        request: &Request,
        ctx: &mut RequestContext,
        told: &mut Explanation,
    ) {
        let names: Vec<_> = header.headers.keys().cloned().collect();
        proxy::recognise(&mut header, ctx, Some(request.peer));
        let is_dropped = |name: &&http::HeaderName| !header.headers.contains_key(*name);
        told.dropped_headers = names.iter().filter(is_dropped).map(ToString::to_string).collect();
        told.client_ip = ctx.client_ip;
        let found = proxy::find_route(&header, ctx);
        if let Some(path) = &ctx.path {
            told.path = Some(path.as_str().to_owned());
            told.shut_at = shut_place(&self.plan, path);
            if told.shut_at.is_none() {
                let chosen = found.as_ref().ok().map(AsRef::as_ref);
                let listener = &request.listener;
                (told.considered, told.others) = considered(&self.plan, listener, &header, path.as_str(), chosen);
            }
        }
        let route = match found {
            Ok(route) => route,
            Err(refusal) => {
                told.outcome = refused(Some(&header), ctx, refusal.status, &refusal.refusal);
                return;
            }
        };
        ctx.route = Some(Arc::clone(&route).into());
        told.route = Some(route.name.clone());
        told.target_name = Some(route.target_name());
        let index = self.plan.routes.iter().position(|known| Arc::ptr_eq(known, &route)).unwrap_or(usize::MAX);
        told.route_at = Some(route_place(&self.plan, index));
        let body = request.body(&header);
        let outcome = self.reach(&header, &body, ctx, &route).await;
        let calls = self.backends.take();
        let lacks = lacking(&calls);
        let said = mem::take(&mut *self.said.lock().unwrap_or_else(PoisonError::into_inner));
        let said: Vec<Said> = said.into_iter().filter(|(of, _)| *of == index).map(|(_, said)| said).collect();
        told.filters = verdicts(&self.plan, index, &said, lacks.as_deref());
        let outcome = match (outcome, lacks) {
            (Err(_), Some(why)) => Outcome::Undecided { why },
            (Ok(outcome), _) => outcome,
            (Err(stopped), None) => stopped.outcome(&header, ctx),
        };
        told.outcome = with_call(outcome, &calls);
        told.asked = calls.into_iter().filter(|call| call.is_lookup).map(|call| call.sent).collect();
    }

    /// Runs the chain, and what comes behind it.
    async fn reach(
        &self,
        header: &RequestHeader,
        body: &Bytes,
        ctx: &mut RequestContext,
        route: &Route,
    ) -> Result<Outcome, Stopped> {
        let clock = self.clock.as_ref();
        let tried = match &route.target {
            Target::Forward(forward) => {
                pass(header, body, ctx, route).await?;
                return self.forward(header, body, ctx, forward);
            }
            Target::Publish(keys) => {
                pass(header, body, ctx, route).await?;
                if !matches!(header.method, Method::GET | Method::HEAD) {
                    let allow = Some("GET, HEAD".to_owned());
                    return Err(refuse(Refusal { allow, ..Refusal::new(Reason::MethodNotAllowed) }));
                }
                let answer = answered(ctx, 200, HeaderMap::new(), &keys.document);
                return Ok(Outcome::Answered { answer: Box::new(answer) });
            }
            Target::Rpc(target) => return call(header, body.clone(), ctx, route, target).await,
            Target::Commands(target) => edge::rpc((header, body.clone()), ctx, route, target, clock).await?,
            Target::Sse(target) => edge::sse((header, body.clone()), ctx, route, target, clock).await?,
            Target::WebSocket(target) => {
                match edge::websocket((header, body.clone()), ctx, route, target, clock).await? {
                    Some(tried) => tried,
                    None => {
                        let why = "its first message decides the rest: give it as the request's body".to_owned();
                        return Ok(Outcome::Undecided { why });
                    }
                }
            }
        };
        Ok(match (tried, &route.target) {
            (edge::Tried::Answered(response), _) => {
                let mut answer = answered(ctx, 200, HeaderMap::new(), &response.payload_bytes);
                answer.result_code = Some(response.result_code);
                Outcome::Answered { answer: Box::new(answer) }
            }
            (edge::Tried::Opened, target) => Outcome::Opened { events: events_of(target) },
        })
    }

    fn forward(
        &self,
        header: &RequestHeader,
        body: &Bytes,
        ctx: &RequestContext,
        forward: &Forward,
    ) -> Result<Outcome, Stopped> {
        let max = ctx.facts.body_bytes_max.or_else(|| ctx.listener().map(|listener| listener.body_bytes_max));
        if max.is_some_and(|max| body.len() as u64 > max) {
            return Err(refuse(Refusal::new(Reason::BodyTooLarge)));
        }
        let switches = forward.websocket && header.headers.contains_key(http::header::UPGRADE);
        // Pingora does this ahead of the gateway's own changes.
        let mut headers = header.headers.clone();
        proxy::strip(&mut headers, switches);
        let (mut parts, ()) = http::Request::new(()).into_parts();
        (parts.method, parts.uri, parts.version) = (header.method.clone(), header.uri.clone(), header.version);
        parts.headers = headers;
        let mut sent = RequestHeader::from(parts);
        if proxy::rewrite(ctx, forward, &mut sent).is_err() {
            return Err(refuse(Refusal::new(Reason::Internal)));
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
            body: text(body),
            answered: given.map(|given| given.status.as_u16().to_string()),
        };
        Ok(Outcome::Forwarded { sent: Box::new(sent), answer })
    }
}

fn watch(plan: &mut Plan, said: &Arc<Mutex<Vec<(usize, Said)>>>) {
    for (index, route) in plan.routes.iter_mut().enumerate() {
        let said = Arc::clone(said);
        let watch: Arc<Watch> = Arc::new(move |place, verdict: Verdict| {
            said.lock().unwrap_or_else(PoisonError::into_inner).push((index, (place, verdict)));
        });
        // Nobody else has the routes of a plan that was just made.
        if let Some(route) = Arc::get_mut(route) {
            route.chain = mem::replace(&mut route.chain, Chain::new(Vec::new())).watched(&watch);
        }
    }
}

async fn pass(header: &RequestHeader, body: &Bytes, ctx: &mut RequestContext, route: &Route) -> Result<(), Stopped> {
    let passed = proxy::run_chain(&mut Whole { header, body }, ctx, route).await;
    Ok(passed.unwrap_or_else(|_| Err(Stop::Refused(Refusal::new(Reason::Internal))))?)
}
