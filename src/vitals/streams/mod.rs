//! The long-lived streams that are open, by the route that each hangs on. Nothing here is asked while events are
//! delivered: a stream is noted when it opens and when it closes, and is told where a reload ends it.

mod judge;
mod recheck;
mod settle;

pub use judge::Census;

use crate::{
    events::hub::{EndReason, Ending},
    listener::Dismissal,
    plan::{Plan, Route, path::CanonicalPath},
};
use arc_swap::ArcSwap;
use filters::api::Session;
use http::{HeaderName, HeaderValue, Method, header::ORIGIN, request};
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
    pub route: &'a Arc<Route>,
    /// The listener's index in the plan.
    pub listener: usize,
    /// The host, port and all.
    pub host: &'a str,
    /// That of the client's own request, where a trusted proxy has named another.
    pub client_host: Option<&'a str>,
    /// The canonical path.
    pub path: &'a CanonicalPath,
    /// The head of the request.
    pub head: &'a request::Parts,
    /// Whose stream it is, where a session was looked up.
    pub session: Option<&'a Session>,
}

/// A stream that is open.
struct Open {
    /// The route that it hangs on: the plan in force has it, or one that is the same to the stream.
    route: Arc<Route>,
    request: Request,
    session: Option<Session>,
    exit: Exit,
    is_ending: bool,
}

/// What finds a route again. Of the headers only those that routes were found by, and the page's origin.
struct Request {
    listener: Box<str>,
    host: Box<str>,
    client_host: Option<Box<str>>,
    path: CanonicalPath,
    method: Method,
    headers: Box<[(HeaderName, HeaderValue)]>,
}

impl Open {
    fn new(opening: &Opening<'_>, exit: Exit) -> Self {
        let Opening { plan, route, listener, host, client_host, path, head, session } = *opening;
        let names = plan.matched_headers.iter().chain([&ORIGIN]);
        let values =
            |name| head.headers.get_all(name).iter().map(move |value| (HeaderName::clone(name), value.clone()));
        let request = Request {
            listener: plan.listeners.get(listener).map(|listener| listener.name.as_str().into()).unwrap_or_default(),
            host: host.into(),
            client_host: client_host.map(Into::into),
            path: path.clone(),
            method: head.method.clone(),
            headers: names.flat_map(values).collect(),
        };
        route.metrics.streams.inc();
        Self { route: Arc::clone(route), request, session: session.cloned(), exit, is_ending: false }
    }

    fn hang_on(&mut self, route: &Arc<Route>) {
        self.route.metrics.streams.dec();
        route.metrics.streams.inc();
        self.route = Arc::clone(route);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.route.metrics.streams.dec();
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
        let id = self.next.fetch_add(1, Relaxed);
        self.all().insert(id, Open::new(opening, exit));
        // A reload that came in between has either seen it among all, or is seen here.
        if !Arc::ptr_eq(&self.in_force.load_full(), opening.plan) {
            self.settle_one(id);
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
        // What is let go with it needs no lock.
        let closed = self.streams.all().remove(&self.id);
        drop(closed);
    }
}
