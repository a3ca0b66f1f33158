use super::{
    super::{
        placed::Placed,
        source::{Call, Invariant, Route},
        tree::join,
    },
    Checks,
    reach::Reach,
};
use filters::table::FilterConfig;
use http::HeaderName;

/// Each is held against every route.
const INVARIANTS_MAX: usize = 100;
/// What the gateway writes itself, or drops, in the place of whatever a client sends: see `proxy::client_ip`.
const FORWARDING: &[&str] =
    &["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port", "x-real-ip"];
/// The filter that says whose a request is, and the one without which it says nothing.
const SESSION: &[&str] = &["session", "signature"];

/// A route as the proofs see it.
struct Routed<'a> {
    index: usize,
    route: &'a Route,
    filters: Vec<Placed<'a>>,
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
        for (index, invariant) in well_formed {
            let pointer = format!("/invariants/{index}");
            match (&invariant.never_forwarded, &invariant.needs, &invariant.under) {
                (Some(header), ..) => self.never_forwarded(&pointer, invariant, header, &routes),
                (None, Some(filter), _) => self.needs(&pointer, invariant, filter, &routes),
                (None, None, Some(under)) => self.is_shut(&pointer, invariant, under, &routes),
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
            let remedy = format!("write `/{}/`", under.trim_matches('/'));
            self.error(&format!("{pointer}/under"), format!("`{under}` is no beginning of paths"), remedy);
        } else if let Some(Err((what, remedy))) = under.as_deref().map(super::paths::shut) {
            self.error(&format!("{pointer}/under"), what, remedy);
        }
        if is.is_some() && under.is_none() {
            self.error(&pointer, "it is not said what is shut", "add `under: /path/`");
        }
        if let Some(name) = listener {
            self.known(&format!("{pointer}/listener"), "listener", name, &config.listeners);
        }
        if let Some(name) = upstream {
            self.known(&format!("{pointer}/upstream"), "upstream", name, &config.upstreams);
        }
        if let Some(filter) = needs {
            self.filter_name(&format!("{pointer}/needs"), filter);
        }
        if let Some(header) = never_forwarded {
            self.header_of_clients(&format!("{pointer}/never_forwarded"), header);
        }
        self.problems.len() == known
    }

    fn needs(&mut self, pointer: &str, invariant: &Invariant, filter: &str, routes: &[Routed<'a>]) {
        let needed: &[&str] = if filter == "session" { SESSION } else { std::slice::from_ref(&filter) };
        for routed in routes {
            let has = |name: &&&str| routed.filters.iter().any(|placed| placed.filter.name() == **name);
            if routed.route.publish.is_some() || needed.iter().all(|name| has(&name)) {
                continue;
            }
            if let Some(reached) = self.reaches(invariant, routed) {
                let what = format!("{} needs `{filter}`, but {} without it", scope(invariant), reached.how);
                // Only commands and subscriptions have a session that could be looked up.
                let remedy = match (needed == SESSION, &invariant.under) {
                    (false, _) => format!("add `{filter}` to its chain"),
                    (true, Some(under)) => {
                        format!("serve it by `commands`, add `{under}` to `shut`, or narrow its path")
                    }
                    (true, None) => "serve it by `commands`".to_owned(),
                };
                self.broken(pointer, &reached, &what, &remedy);
            }
        }
    }

    fn is_shut(&mut self, pointer: &str, invariant: &Invariant, under: &str, routes: &[Routed<'a>]) {
        for routed in routes.iter().filter(|routed| routed.route.publish.is_none()) {
            if let Some(reached) = self.reaches(invariant, routed) {
                let remedy = match routed.route.commands {
                    Some(_) => "take the command out, or call another path".to_owned(),
                    None => format!("add `{under}` to `shut`, or narrow its path"),
                };
                self.broken(pointer, &reached, &format!("{under} is not shut: {}", reached.how), &remedy);
            }
        }
    }

    fn never_forwarded(&mut self, pointer: &str, invariant: &Invariant, header: &str, routes: &[Routed<'a>]) {
        let Ok(name) = HeaderName::from_bytes(header.as_bytes()) else { return };
        let is_written_here = FORWARDING.contains(&name.as_str());
        let is_identity = self.config.identity_headers.iter().any(|known| known.eq_ignore_ascii_case(name.as_str()));
        if is_written_here || is_identity {
            return;
        }
        for routed in routes {
            let Route { forward, rpc, commands, .. } = routed.route;
            let is_kept = || !routed.filters.iter().any(|placed| takes_off(&placed.filter, &name));
            // Of a command's request no header reaches the backend but `traceparent`, whatever its chain says.
            let passes = match commands {
                Some(_) => name.as_str() == "traceparent",
                None => (forward.is_some() || rpc.is_some()) && is_kept(),
            };
            if !passes {
                continue;
            }
            if let Some(reached) = self.reaches(invariant, routed) {
                let what = format!("route `{}` forwards `{name}` as a client sends it", routed.route.name);
                let removing = format!("`headers: {{ request: {{ remove: [{name}] }} }}`");
                let remedy = format!("add `{name}` to `identity_headers`, or {removing} to its chain");
                self.broken(pointer, &reached, &what, &remedy);
            }
        }
    }

    /// How a request to this route reaches what an invariant is about; none where it cannot.
    fn reaches(&self, invariant: &Invariant, Routed { index, route, .. }: &Routed<'_>) -> Option<Reached> {
        let Invariant { under, listener, upstream, .. } = invariant;
        if let (Some(asked), Some(of_route)) = (listener, &route.r#match.listener)
            && asked != of_route
        {
            return None;
        }
        let commands = route.commands.as_ref().and_then(|name| Some((name, self.config.commands.get(name)?)));
        let reached = commands.map(|(_, commands)| commands.upstream.as_str()).or_else(|| route.upstream());
        if upstream.as_ref().is_some_and(|asked| !reached.is_some_and(|reached| self.is_same(asked, reached))) {
            return None;
        }
        let by_route = |how: String| Some(Reached { how, pointer: format!("/routes/{index}/name") });
        let Some(under) = under.as_deref().map(Reach::new) else {
            return by_route(format!("route `{}` is passed", route.name));
        };
        if let Some((set, commands)) = commands
            && let Some((name, _)) = commands.routes.iter().find(|(_, call)| under.overlaps(path_of(call)))
        {
            let how = format!("the command `{name}` of route `{}` goes there", route.name);
            return Some(Reached { how, pointer: join(&join(&join("/commands", set), "routes"), name) });
        }
        let shut: Vec<Reach> = self.config.shut.iter().map(|prefix| Reach::new(prefix)).collect();
        let is_open = |pattern: &&String| under.overlaps(pattern) && !shut.iter().any(|shut| shut.holds(pattern));
        let patterns = patterns(route);
        let pattern = patterns.iter().find(is_open).filter(|_| !shut.iter().any(|shut| shut.holds_all(&under)))?;
        by_route(format!("route `{}` takes {pattern}", route.name))
    }

    /// Whether two names are those of one upstream, or of two with an endpoint in common.
    fn is_same(&self, asked: &str, reached: &str) -> bool {
        let endpoints = |name: &str| {
            let upstream = self.config.upstreams.get(name);
            let plain = |url: &String| url.to_ascii_lowercase().trim_end_matches('/').to_owned();
            upstream.into_iter().flat_map(|upstream| &upstream.endpoints).map(plain).collect::<Vec<_>>()
        };
        asked == reached || endpoints(asked).iter().any(|endpoint| endpoints(reached).contains(endpoint))
    }

    fn broken(&mut self, pointer: &str, reached: &Reached, what: &str, remedy: &str) {
        let line = self.line(&reached.pointer);
        self.error(pointer, format!("{what} (line {line})"), format!("{remedy}: see line {line}"));
    }
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
        _ => vec![matched()],
    }
}

fn path_of(call: &Call) -> &str {
    match call {
        Call::Get(path) | Call::Post(path) | Call::Put(path) | Call::Patch(path) | Call::Delete(path) => path,
    }
}

fn scope(invariant: &Invariant) -> String {
    let Invariant { under, listener, upstream, .. } = invariant;
    let parts = [
        under.as_ref().map(|under| format!("what is under {under}")),
        listener.as_ref().map(|listener| format!("what comes to listener `{listener}`")),
        upstream.as_ref().map(|upstream| format!("what goes to upstream `{upstream}`")),
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
