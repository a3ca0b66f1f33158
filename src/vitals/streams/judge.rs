//! What becomes of a stream under another plan.

use super::{Open, Request, Streams};
use crate::{
    config::source::ReloadStreams,
    plan::{
        Origin, Plan, Route, Target,
        changes::Hanging,
        route::{Found, Lookup},
    },
};
use http::HeaderMap;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// So many streams are looked at under one lock.
pub(super) const AT_ONCE: usize = 256;

/// What becomes of the open streams, by the route that they hang on.
pub type Census = BTreeMap<String, Hanging>;

/// What becomes of a stream.
#[derive(Clone, Copy)]
pub(super) enum Fate<'a> {
    /// Its route is the same.
    Untouched(&'a Arc<Route>),
    /// It goes on, on this route.
    Kept(&'a Arc<Route>),
    /// It is ended among others, one after the other.
    Drained,
    /// It is ended at once.
    Cut,
}

/// Holds streams against a plan.
pub(super) struct Judge<'a> {
    plan: &'a Plan,
    same: HashMap<Origin, &'a Arc<Route>>,
    policy: ReloadStreams,
}

impl<'a> Judge<'a> {
    pub(super) fn of(plan: &'a Plan) -> Self {
        let same = plan.routes.iter().map(|route| (route.origin, route)).collect();
        Self { plan, same, policy: plan.loaded.config.reload.streams }
    }

    pub(super) fn fate(&self, open: &Open) -> Fate<'a> {
        let is_shut = self.plan.shut.covers(&open.request.path);
        if let Some(route) = self.same.get(&open.route.origin).filter(|_| !is_shut) {
            return Fate::Untouched(route);
        }
        match self.policy {
            ReloadStreams::Keep => self.found(open).filter(|_| !is_shut).map_or(Fate::Drained, Fate::Kept),
            ReloadStreams::Drain(_) => Fate::Drained,
            ReloadStreams::Cut => Fate::Cut,
        }
    }

    /// The route that the stream's request would find now, where that carries the same.
    fn found(&self, open: &Open) -> Option<&'a Arc<Route>> {
        let Request { listener, host, client_host, path, method, headers } = &open.request;
        let headers: HeaderMap = headers.iter().cloned().collect();
        let listener = self.plan.listeners.iter().find(|known| *known.name == **listener)?;
        let asked = Lookup { host, path, method, headers: &headers };
        let Found::Route(index) = listener.table.find(asked) else { return None };
        let route = self.plan.routes.get(index)?;
        let source = |route: &Route| route.events().map(|source| source.origin);
        let is_same = route.carries() == open.route.carries() && source(route) == source(&open.route);
        let is_served = match &route.target {
            Target::Rpc(target) => target.services.find(path.as_str()).is_some(),
            Target::WebSocket(target) => target.origins.allow(&headers, client_host.as_ref().unwrap_or(host)),
            _ => true,
        };
        (is_same && is_served).then_some(route)
    }
}

impl Streams {
    /// What would become of every stream, were this plan in force. Streams that end already are nobody's.
    #[must_use]
    pub fn census(&self, plan: &Plan) -> Census {
        let judge = Judge::of(plan);
        let mut census = Census::new();
        let ids: Vec<u64> = self.all().keys().copied().collect();
        for ids in ids.chunks(AT_ONCE) {
            let all = self.all();
            for open in ids.iter().filter_map(|id| all.get(id)).filter(|open| !open.is_ending) {
                if !census.contains_key(&open.route.name) {
                    census.insert(open.route.name.clone(), Hanging::default());
                }
                let Some(hanging) = census.get_mut(&open.route.name) else { continue };
                match judge.fate(open) {
                    Fate::Untouched(_) => hanging.untouched += 1,
                    Fate::Kept(_) => hanging.kept += 1,
                    Fate::Drained => hanging.drained += 1,
                    Fate::Cut => hanging.cut += 1,
                }
            }
        }
        census
    }
}
