//! Which routes a request could have had.

use super::explanation::{Considered, Place};
use crate::{
    plan::{
        Plan, Route,
        path::{CanonicalPath, Shut},
        route::by_specificity,
    },
    proxy::{asked, asked_method},
};
use pingora_http::RequestHeader;

/// Of the routes that have another listener, host or path so many are listed.
const FAR_MAX: usize = 16;
/// Of the others; no file that somebody typed has as many on one path.
const NEAR_MAX: usize = 100;

/// The routes that were tried ahead of `chosen`, or all where there is none, and how many more.
pub(super) fn considered(
    plan: &Plan,
    listener: &str,
    header: &RequestHeader,
    path: &CanonicalPath,
    chosen: Option<&Route>,
) -> (Vec<Considered>, usize) {
    let method = asked_method(&header.method, &header.headers);
    let asked = asked(header, path, &method);
    let mut order: Vec<(usize, &Route)> = plan.routes.iter().map(AsRef::as_ref).enumerate().collect();
    order.sort_by(|(_, a), (_, b)| by_specificity(&a.matcher, &b.matcher));
    let ahead = order.iter().take_while(|(_, route)| chosen.is_none_or(|chosen| chosen.name != route.name));
    let missed: Vec<_> =
        ahead.filter_map(|(index, route)| Some((*index, *route, route.matcher.mismatch(listener, asked)?))).collect();
    let far = missed.iter().filter(|(_, _, mismatch)| !mismatch.is_near()).count();
    let shown = missed.iter().filter(|(_, _, mismatch)| far <= FAR_MAX || mismatch.is_near()).take(NEAR_MAX);
    let listed: Vec<Considered> = shown
        .map(|(index, route, mismatch)| Considered {
            route: route.name.clone(),
            at: route_place(plan, *index),
            why: mismatch.to_string(),
        })
        .collect();
    let others = missed.len() - listed.len();
    (listed, others)
}

/// Where it is written that a path is shut.
pub(super) fn shut_place(plan: &Plan, path: &CanonicalPath) -> Option<Place> {
    let is_it = |prefix: &String| Shut::new([prefix.as_str()]).covers(path);
    let index = plan.loaded.config.shut.iter().position(is_it)?;
    Some(place(plan, &format!("/shut/{index}")))
}

/// Where a route is configured.
pub(super) fn route_place(plan: &Plan, index: usize) -> Place {
    place(plan, &format!("/routes/{index}/name"))
}

/// Where it is written what a JSON pointer leads to.
pub(super) fn place(plan: &Plan, pointer: &str) -> Place {
    Place { file: plan.loaded.file().to_owned(), line: plan.loaded.place(pointer).line }
}
