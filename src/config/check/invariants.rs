use super::{
    super::{
        placed::Placed,
        source::{Config, Invariant, PathRules, Route, Upstream},
        tree::join,
    },
    Checks,
    reach::Reach,
};
use filters::{budget::Mode, headers::FORWARDING, table::FilterConfig};
use http::HeaderName;
use std::collections::HashSet;

/// Each is held against every route.
const INVARIANTS_MAX: usize = 100;
/// The filter that says whose a request is, and the one without which it says nothing.
const SESSION: &[&str] = &["session", "signature"];

/// A route as the proofs see it.
struct Routed<'a> {
    index: usize,
    route: &'a Route,
    filters: Vec<Placed<'a>>,
}

impl<'a> Routed<'a> {
    fn named(&self, name: &str) -> impl Iterator<Item = &'a FilterConfig> {
        self.filters.iter().map(|placed| placed.filter).filter(move |filter| filter.name() == name)
    }
}

/// What an invariant is about, made out once for all routes.
struct Scope<'a> {
    invariant: &'a Invariant,
    pointer: String,
    under: Option<Reach>,
    /// The names of its upstream, and of others with an endpoint in common; none where it is about all.
    upstreams: Option<Vec<&'a str>>,
    shut: &'a [Reach],
}

/// How something is reached that an invariant is about.
struct Reached {
    how: String,
    /// Where it is written that it is.
    pointer: String,
}

impl<'a> Checks<'a> {
    /// Holds the routes against what the operator says of all of them.
    pub(super) fn invariants(&mut self) {
        let config = self.config;
        if config.invariants.len() > INVARIANTS_MAX {
            let what = format!("there are more than {INVARIANTS_MAX} invariants");
            self.error("/invariants", what, "say the same of more at once: leave `listener` or `upstream` out");
            return;
        }
        let well_formed: Vec<(usize, &Invariant)> = config
            .invariants
            .iter()
            .enumerate()
            .filter(|(index, invariant)| self.is_claim(*index, invariant))
            .collect();
        if well_formed.is_empty() {
            return;
        }
        // A chain that leads nowhere is a problem of its own, and nothing can be proved of it.
        let known = self.problems.len();
        let mut routes = Vec::new();
        for (index, route) in config.routes.iter().enumerate() {
            let Some(filters) = self.expanded(index, &route.chain) else { continue };
            routes.push(Routed { index, route, filters });
        }
        self.problems.truncate(known);
        let shut: Vec<Reach> = config.shut.iter().map(|prefix| Reach::new(prefix)).collect();
        for (index, invariant) in well_formed {
            let under = invariant.under.as_deref().map(Reach::new);
            let upstreams = invariant.upstream.as_deref().map(|name| same(config, name));
            let scope = Scope { invariant, pointer: format!("/invariants/{index}"), under, upstreams, shut: &shut };
            match (&invariant.never_forwarded, &invariant.needs, &invariant.under) {
                (Some(header), ..) => self.never_forwarded(&scope, header, &routes),
                (None, Some(filter), _) => self.needs(&scope, filter, &routes),
                (None, None, Some(under)) => self.is_shut(&scope, under, &routes),
                (None, None, None) => {}
            }
        }
    }

    /// Whether an invariant says one thing that makes sense; says so where it does not.
    fn is_claim(&mut self, index: usize, invariant: &Invariant) -> bool {
        let config = self.config;
        let pointer = format!("/invariants/{index}");
        let known = self.problems.len();
        let Invariant { under, listener, upstream, needs, is, never_forwarded } = invariant;
        let claims = [needs.is_some(), is.is_some(), never_forwarded.is_some()];
        if claims.iter().filter(|is_given| **is_given).count() != 1 {
            let remedy = "add one of `needs: session`, `is: shut` and `never_forwarded: HEADER`";
            self.error(&pointer, "an invariant says exactly one thing", remedy);
        }
        if let Some(under) = under.as_ref().filter(|under| !under.starts_with('/') || !under.ends_with('/')) {
            let remedy = format!("write «/{}/»", under.trim_matches('/'));
            self.error(format_args!("{pointer}/under"), format!("«{under}» is no beginning of paths"), remedy);
        } else if let Some(Err((what, remedy))) = under.as_deref().map(super::paths::shut) {
            self.error(format_args!("{pointer}/under"), what, remedy);
        }
        if is.is_some() && under.is_none() {
            self.error(&pointer, "it is not said what is shut", "add `under: /path/`");
        }
        if let Some(name) = listener {
            self.known(format_args!("{pointer}/listener"), "listener", name, &config.listeners);
        }
        if let Some(name) = upstream {
            self.known(format_args!("{pointer}/upstream"), "upstream", name, &config.upstreams);
        }
        if let Some(filter) = needs {
            self.filter_name(&format!("{pointer}/needs"), filter);
        }
        if let Some(header) = never_forwarded {
            self.header_of_clients(&format!("{pointer}/never_forwarded"), header);
        }
        self.problems.len() == known
    }

    fn needs(&mut self, scope: &Scope<'_>, filter: &str, routes: &[Routed<'a>]) {
        let needed: &[&str] = if filter == "session" { SESSION } else { std::slice::from_ref(&filter) };
        for routed in routes {
            let is_held = |name: &&str| routed.named(name).any(|filter| self.refuses(filter));
            if routed.route.publish.is_some() || needed.iter().all(is_held) {
                continue;
            }
            if let Some(reached) = self.reaches(scope, routed) {
                let what = format!("{} needs «{filter}», but {} without it", about(scope.invariant), reached.how);
                // Only commands and subscriptions have a session that could be looked up.
                let remedy = match (needed == SESSION, &scope.invariant.under) {
                    (false, _) if routed.named(filter).next().is_some() => {
                        "the budgets in its chain refuse nobody: take `mode: observe` from one".to_owned()
                    }
                    (false, _) => format!("add `{filter}` to its chain"),
                    (true, Some(under)) => {
                        format!("serve it by `commands`, add «{under}» to `shut`, or narrow its path")
                    }
                    (true, None) => "serve it by `commands`".to_owned(),
                };
                self.broken(scope, &reached, &what, &remedy);
            }
        }
    }

    /// Whether a filter of a chain can refuse a request at all.
    fn refuses(&self, filter: &FilterConfig) -> bool {
        let is_observed = |name: &String| self.config.budgets.get(name).is_some_and(|it| it.mode == Mode::Observe);
        match filter {
            FilterConfig::budget(config) => !config.names().iter().all(is_observed),
            _ => true,
        }
    }

    fn is_shut(&mut self, scope: &Scope<'_>, under: &str, routes: &[Routed<'a>]) {
        for routed in routes.iter().filter(|routed| routed.route.publish.is_none()) {
            if let Some(reached) = self.reaches(scope, routed) {
                let remedy = match routed.route.commands {
                    Some(_) => "take the command out, or call another path".to_owned(),
                    None => format!("add «{under}» to `shut`, or narrow its path"),
                };
                self.broken(scope, &reached, &format!("«{under}» is not shut: {}", reached.how), &remedy);
            }
        }
    }

    fn never_forwarded(&mut self, scope: &Scope<'_>, header: &str, routes: &[Routed<'a>]) {
        let Ok(name) = HeaderName::from_bytes(header.as_bytes()) else { return };
        let is_written_here = FORWARDING.contains(&name);
        let is_identity = self.config.identity_headers.iter().any(|known| known.eq_ignore_ascii_case(name.as_str()));
        if is_written_here || is_identity {
            return;
        }
        for routed in routes {
            let Route { forward, rpc, commands, .. } = routed.route;
            let is_kept = || !routed.filters.iter().any(|placed| takes_off(placed.filter, &name));
            // Of a command's request no header reaches the backend but `traceparent`, whatever its chain says.
            let passes = match commands {
                Some(_) => name.as_str() == "traceparent",
                None => (forward.is_some() || rpc.is_some()) && is_kept(),
            };
            if !passes {
                continue;
            }
            if let Some(reached) = self.reaches(scope, routed) {
                let what = format!("route «{}» forwards «{name}» as a client sends it", routed.route.name);
                let removing = format!("«headers: {{ request: {{ remove: [{name}] }} }}»");
                let remedy = format!("add «{name}» to `identity_headers`, or {removing} to its chain");
                self.broken(scope, &reached, &what, &remedy);
            }
        }
    }

    /// How a request to this route reaches what an invariant is about; none where it cannot.
    fn reaches(&self, scope: &Scope<'_>, Routed { index, route, .. }: &Routed<'_>) -> Option<Reached> {
        let Scope { invariant, under, upstreams, shut, .. } = scope;
        if let (Some(asked), Some(of_route)) = (&invariant.listener, &route.r#match.listener)
            && asked != of_route
        {
            return None;
        }
        let commands = route.commands.as_ref().and_then(|name| Some((name, self.config.commands.get(name)?)));
        let reached = commands.map(|(_, commands)| commands.upstream.as_str()).or_else(|| route.upstream());
        if upstreams.as_ref().is_some_and(|same| !reached.is_some_and(|reached| same.contains(&reached))) {
            return None;
        }
        let by_route = |how: String| Some(Reached { how, pointer: format!("/routes/{index}/name") });
        let Some(under) = under else {
            return by_route(format!("route «{}» is passed", route.name));
        };
        if let Some((set, commands)) = commands
            // A backend may take the `%2F` of a value for a slash.
            && let Some((name, _)) = commands.routes.iter().find(|(_, call)| under.overlaps(&open_ended(call.path())))
        {
            let how = format!("the command «{name}» of route «{}» goes there", route.name);
            return Some(Reached { how, pointer: join(&join(&join("/commands", set), "routes"), name) });
        }
        let is_open = |pattern: &&String| under.overlaps(pattern) && !shut.iter().any(|shut| shut.holds(pattern));
        let patterns = patterns(route);
        let pattern = patterns.iter().find(is_open).filter(|_| !shut.iter().any(|shut| shut.holds_all(under)))?;
        by_route(format!("route «{}» takes «{pattern}»", route.name))
    }

    fn broken(&mut self, scope: &Scope<'_>, reached: &Reached, what: &str, remedy: &str) {
        let line = self.line(&reached.pointer);
        self.error(&scope.pointer, format!("{what} (line {line})"), format!("{remedy}: see line {line}"));
    }
}

/// The upstreams that are this one, or have an endpoint in common with it.
fn same<'a>(config: &'a Config, asked: &'a str) -> Vec<&'a str> {
    let plain = |url: &String| url.to_ascii_lowercase().trim_end_matches('/').to_owned();
    let of_asked = config.upstreams.get(asked).into_iter().flat_map(|upstream| &upstream.endpoints);
    let endpoints: HashSet<String> = of_asked.map(plain).collect();
    let is_same =
        |(_, upstream): &(&String, &Upstream)| upstream.endpoints.iter().any(|url| endpoints.contains(&plain(url)));
    let others = config.upstreams.iter().filter(is_same).map(|(name, _)| name.as_str());
    others.chain([asked]).collect()
}

/// The paths that a route's requests may have.
fn patterns(route: &Route) -> Vec<String> {
    let matched = || match (&route.r#match.rpc, &route.r#match.path) {
        (Some(service), _) => format!("/{service}/*"),
        (None, Some(path)) => path.clone(),
        (None, None) => "/*".to_owned(),
    };
    // Whatever the match takes, only calls of these go further.
    match &route.rpc {
        Some(rpc) if !rpc.services.is_empty() => rpc.services.iter().map(|service| format!("/{service}/*")).collect(),
        // To a backend that decodes first, what is kept may begin another segment.
        _ if route.path != PathRules::default() => vec![open_ended(&matched())],
        _ => vec![matched()],
    }
}

/// A pattern of all paths that some backend could take one of this pattern for.
fn open_ended(pattern: &str) -> String {
    match pattern.split_once("/{") {
        Some((ahead, _)) => format!("{ahead}/*"),
        None => pattern.to_owned(),
    }
}

fn about(invariant: &Invariant) -> String {
    let Invariant { under, listener, upstream, .. } = invariant;
    let parts = [
        under.as_ref().map(|under| format!("what is under «{under}»")),
        listener.as_ref().map(|listener| format!("what comes to listener «{listener}»")),
        upstream.as_ref().map(|upstream| format!("what goes to upstream «{upstream}»")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "everything".to_owned() } else { parts.join(" and ") }
}

/// Whether a filter replaces or removes every value of a header that a client has sent.
fn takes_off(filter: &FilterConfig, name: &HeaderName) -> bool {
    let is_it = |written: &String| written.eq_ignore_ascii_case(name.as_str());
    match filter {
        FilterConfig::headers(config) => {
            config.request.remove.iter().any(is_it) || config.request.set.keys().any(is_it)
        }
        FilterConfig::request_id(config) => !config.trust && name.as_str() == "x-request-id",
        _ => false,
    }
}
