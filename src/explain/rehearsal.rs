//! A plan that is tried.

use super::{
    clock::SetClock,
    considered::place,
    explanation::{Explanation, Upshot},
    offline::{env, offline},
    request::{Form, Request},
    stand_in::{Answers, Backends},
    verdicts::Said,
};
use crate::{
    config::Loaded,
    plan::{self, BuildProblem, Outside, Plan, Via},
    proxy::context::RequestContext,
    telemetry::metrics::Metrics,
    upstream::StandIn,
};
use filters::{
    api::Clock,
    chain::{Chain, Verdict, Watch},
    session::Invalidations,
};
use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// A store knows nothing of what was signed before it was there. This one was there a day before.
const BEFORE: Duration = Duration::from_secs(86_400);
/// More requests on one connection are for machines to look at.
const PIPELINED_MAX: usize = 16;

/// A plan that is tried: what it counts and remembers lasts from one request to the next.
pub struct Rehearsal {
    pub(super) plan: Arc<Plan>,
    pub(super) clock: Arc<SetClock>,
    pub(super) backends: Arc<Backends>,
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
        // The mark of a process that serves nothing would say nothing.
        plan.via = plan.via.take().and_then(|_| Via::nowhere(&plan.loaded.config.node.via).ok());
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

    /// Tries a request, and those that stand behind it on its connection.
    pub async fn explain(&self, request: &Request) -> Explanation {
        let (wire, message) = match &request.form {
            Form::Http2 { header, body } => return self.over_http2(request, header, body).await,
            Form::Http1 { wire, message } => (wire, message),
        };
        let mut told: Vec<Explanation> = Vec::new();
        let mut rest = wire.clone();
        loop {
            let (explanation, behind) = self.over_http1(request, &rest, message).await;
            told.push(explanation);
            match behind {
                Some(behind) if told.len() < PIPELINED_MAX => rest = behind,
                _ => break,
            }
        }
        let last = told.pop().unwrap_or_else(|| self.untold(request));
        told.into_iter().rev().fold(last, |next, one| Explanation { next: Some(Box::new(next)), ..one })
    }

    /// What is known of a request before anything of it is read.
    pub(super) fn untold(&self, request: &Request) -> Explanation {
        Explanation {
            listener: request.listener.clone(),
            listener_at: place(&self.plan, &format!("/listeners/{}", request.listener)),
            client_ip: request.peer,
            method: String::new(),
            target: String::new(),
            framing: None,
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
            upshot: Upshot::Undecided { why: "the listener serves the admin pages, and no routes".to_owned() },
            next: None,
        }
    }

    pub(super) fn context(&self, request: &Request) -> RequestContext {
        let mut ctx = RequestContext::new(Arc::clone(&self.plan), &self.metrics.in_flight, self.clock.unix_ms());
        let place_of = |name: &str| self.plan.listeners.iter().position(|listener| listener.name == name);
        ctx.listener = place_of(&request.listener).unwrap_or(usize::MAX);
        let config = self.plan.loaded.config.listeners.get(&request.listener);
        ctx.is_tls = config.is_some_and(|listener| listener.tls.is_some());
        ctx
    }

    /// What filters of a route have said since this was asked last.
    pub(super) fn said(&self, route: usize) -> Vec<Said> {
        let said = mem::take(&mut *self.said.lock().unwrap_or_else(PoisonError::into_inner));
        said.into_iter().filter(|(of, _)| *of == route).map(|(_, said)| said).collect()
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
