//! The long-lived streams that are open, by the route that each hangs on. Nothing here is asked while events are
//! delivered: a stream is noted when it opens and when it closes, and is told where a reload ends it.

mod judge;
mod recheck;
mod settle;

pub use judge::Census;

use crate::{
    events::hub::{EndReason, Ending},
    listener::Dismissal,
    plan::{Origin, Plan, Route, path::CanonicalPath, route::Asked},
};
use arc_swap::ArcSwap;
use filters::{api::SessionRecord, session::Directory};
use http::{HeaderMap, Method, header::ORIGIN, request};
use prometheus::IntGauge;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// How a stream is ended.
#[derive(Clone)]
pub enum Exit {
    /// By the hub that it is subscribed to.
    Hub(Ending),
    /// By whoever serves it.
    Server(Arc<Dismissal>),
}

impl Exit {
    fn end(&self, reason: EndReason) {
        match self {
            Self::Hub(ending) => ending.end(reason),
            Self::Server(dismissal) => dismissal.give(),
        }
    }
}

/// What a stream was opened with.
#[derive(Clone, Copy)]
pub struct Opening<'a> {
    /// The plan that its request has pinned.
    pub plan: &'a Arc<Plan>,
    /// The route.
    pub route: &'a Route,
    /// The listener's index in the plan.
    pub listener: usize,
    /// The host, port and all.
    pub host: &'a str,
    /// The canonical path.
    pub path: &'a CanonicalPath,
    /// The head of the request.
    pub head: &'a request::Parts,
    /// Whose stream it is, where a session was looked up.
    pub session: Option<&'a SessionRecord>,
}

/// A stream that is open.
struct Open {
    origin: Origin,
    route: String,
    /// The word and name of [`Route::carries`].
    carries: Option<String>,
    source: Option<(String, Origin)>,
    sessions: Option<Arc<Directory>>,
    request: Request,
    session: Option<Holder>,
    exit: Exit,
    is_ending: bool,
    gauge: IntGauge,
}

/// What finds a route again. Of the headers only those that routes were found by, and the page's origin.
struct Request {
    listener: String,
    host: String,
    path: CanonicalPath,
    method: Method,
    headers: HeaderMap,
}

/// Whose stream it is.
#[derive(Clone, PartialEq, Eq)]
struct Holder {
    device_session_id: String,
    user_id: String,
}

impl Request {
    fn new(opening: &Opening<'_>) -> Self {
        let Opening { plan, listener, host, path, head, .. } = opening;
        let mut headers = HeaderMap::new();
        for name in plan.matched_headers.iter().chain([&ORIGIN]) {
            for value in head.headers.get_all(name) {
                headers.append(name.clone(), value.clone());
            }
        }
        Self {
            listener: plan.listeners.get(*listener).map(|listener| listener.name.clone()).unwrap_or_default(),
            host: (*host).to_owned(),
            path: (*path).clone(),
            method: head.method.clone(),
            headers,
        }
    }

    fn asked(&self) -> Asked<'_> {
        Asked { host: &self.host, path: self.path.as_str(), method: &self.method, headers: &self.headers }
    }
}

/// The streams that are open.
pub struct Streams {
    in_force: Arc<ArcSwap<Plan>>,
    open: Mutex<HashMap<u64, Open>>,
    next: AtomicU64,
}

/// A stream's place among those that are open, until it is dropped.
pub struct OpenStream {
    streams: Arc<Streams>,
    id: u64,
}

impl Streams {
    /// None, while this plan is in force and those that follow it.
    #[must_use]
    pub fn new(in_force: Arc<ArcSwap<Plan>>) -> Self {
        Self { in_force, open: Mutex::default(), next: AtomicU64::new(0) }
    }

    /// Notes a stream. Where another plan is in force than its request has pinned, it is held against that at once.
    #[must_use]
    pub fn open(self: &Arc<Self>, opening: &Opening<'_>, exit: Exit) -> OpenStream {
        let route = opening.route;
        let holder = |session: &SessionRecord| Holder {
            device_session_id: session.device_session_id.clone(),
            user_id: session.user_id.clone(),
        };
        let open = Open {
            origin: route.origin,
            route: route.name.clone(),
            carries: route.carries(),
            source: route.events().map(|source| (source.name.clone(), source.origin)),
            sessions: route.sessions.clone(),
            request: Request::new(opening),
            session: opening.session.map(holder),
            exit,
            is_ending: false,
            gauge: route.metrics.streams.clone(),
        };
        open.gauge.inc();
        let id = self.next.fetch_add(1, Relaxed);
        self.all().insert(id, open);
        // A reload that came in between has either seen it among all, or is seen here.
        let in_force = self.in_force.load_full();
        if !Arc::ptr_eq(&in_force, opening.plan) {
            self.settle_one(id, &in_force);
        }
        OpenStream { streams: Arc::clone(self), id }
    }

    /// Nothing under this lock can panic half way through a change.
    fn all(&self) -> MutexGuard<'_, HashMap<u64, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let closed = self.streams.all().remove(&self.id);
        if let Some(open) = closed {
            open.gauge.dec();
        }
    }
}
