use super::{
    super::{
        placed::Placed,
        source::{Call, Forward, Invariant, Route},
    },
    Checks,
    reach::Reach,
};
use filters::table::FilterConfig;
use http::HeaderName;

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

impl<'a> Checks<'a> {
    /// Holds the routes against what the operator says of all of them.
    pub(super) fn invariants(&mut self) {
        let config = self.config;
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
            self.header_name(&format!("{pointer}/never_forwarded"), header);
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
            if let Some(how) = self.reaches(invariant, routed.route) {
                let scope = scope(invariant);
                let what = format!("{scope} needs `{filter}`, but {how} without it");
                self.broken(pointer, routed, &what, &format!("add `{filter}` to its chain"), invariant);
            }
        }
    }

    fn is_shut(&mut self, pointer: &str, invariant: &Invariant, under: &str, routes: &[Routed<'a>]) {
        for routed in routes.iter().filter(|routed| routed.route.publish.is_none()) {
            if let Some(how) = self.reaches(invariant, routed.route) {
                let remedy = format!("add `{under}` to `shut`");
                self.broken(pointer, routed, &format!("{under} is not shut: {how}"), &remedy, invariant);
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
            // Of a command's request no header reaches the backend but `traceparent`.
            let passes_headers = routed.route.forward.is_some()
                || routed.route.rpc.is_some()
                || (routed.route.commands.is_some() && name.as_str() == "traceparent");
            let is_taken_off = routed.filters.iter().any(|placed| takes_off(&placed.filter, &name));
            if !passes_headers || (is_taken_off && routed.route.commands.is_none()) {
                continue;
            }
            if self.reaches(invariant, routed.route).is_some() {
                let what = format!("route `{}` forwards `{name}` as a client sends it", routed.route.name);
                let remedy = format!(
                    "add `{name}` to `identity_headers`, or `headers: {{ request: {{ remove: [{name}] }} }}` to its chain"
                );
                self.broken(pointer, routed, &what, &remedy, invariant);
            }
        }
    }

    /// How a request to this route reaches what an invariant is about; none where it cannot.
    fn reaches(&self, invariant: &Invariant, route: &Route) -> Option<String> {
        let config = self.config;
        let on_listener = |name: &String| route.r#match.listener.as_ref().is_none_or(|listener| listener == name);
        if invariant.listener.as_ref().is_some_and(|name| !on_listener(name)) {
            return None;
        }
        let is_asked = |upstream: &str| invariant.upstream.as_deref().is_none_or(|asked| asked == upstream);
        let direct =
            route.forward.as_ref().map(Forward::upstream).or(route.rpc.as_ref().map(|rpc| rpc.upstream.as_str()));
        let Some(under) = invariant.under.as_deref().map(Reach::new) else {
            let commands = route.commands.as_ref().and_then(|name| config.commands.get(name));
            let upstream = direct.or(commands.map(|commands| commands.upstream.as_str()));
            let is_about = upstream.map_or(invariant.upstream.is_none(), is_asked);
            return is_about.then(|| format!("route `{}` is passed", route.name));
        };
        let is_shut = |pattern: &str| config.shut.iter().any(|shut| Reach::new(shut).holds(pattern));
        let all_shut = config.shut.iter().any(|shut| Reach::new(shut).holds_all(&under));
        if let Some(commands) = route.commands.as_ref().and_then(|name| config.commands.get(name)) {
            let mut calls = commands.routes.iter().filter(|_| is_asked(&commands.upstream));
            let (name, _) = calls.find(|(_, call)| under.overlaps(path_of(call)))?;
            return Some(format!("its command `{name}` is called there by route `{}`", route.name));
        }
        if !direct.map_or(invariant.upstream.is_none(), is_asked) || all_shut {
            return None;
        }
        let patterns = patterns(route);
        let reached = patterns.iter().find(|pattern| under.overlaps(pattern) && !is_shut(pattern))?;
        Some(format!("route `{}` takes {reached}", route.name))
    }

    fn broken(&mut self, pointer: &str, routed: &Routed<'_>, what: &str, remedy: &str, invariant: &Invariant) {
        let line = self.line(&format!("/routes/{}/name", routed.index));
        let scope = match (&invariant.under, routed.route.commands.is_some()) {
            (Some(_), false) => ", or narrow its path",
            _ => "",
        };
        self.error(pointer, format!("{what} (line {line})"), format!("{remedy}{scope} on line {line}"));
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
