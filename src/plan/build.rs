//! Config → Plan. The configuration has been checked: what fails here is what no check of the file can see.

use super::{
    BuildProblem, CommandTarget, Forward, Plan, PlannedListener, Route, Target,
    changes::{self, Origins},
    commands::Commands,
    events::{self, EventSource},
    identity::IdentityHeaders,
    kept::Origin,
    keys::Keys,
    parts::{parts, sessions},
    path::Shut,
    route::{Matcher, Matchers, RouteTable},
    services::{RpcTarget, Services},
    stores::stores,
    subscriptions::{EventTarget, WebSocketTarget},
    upstreams::{Upstreams, cleartext, upstreams},
    via::Via,
};
use crate::{
    config::{
        Config, Env, Expanded, Loaded, descriptors, network,
        source::{self, Publish},
    },
    listener::head::HeadLimits,
    telemetry::metrics::{Metrics, RouteMetrics},
    upstream::grpc::GrpcUpstream,
};
use filters::{
    api::{Clock, Named, Parts},
    chain::build_chain,
    order::freshness_window,
    session::{Directory, Invalidations},
    table::FilterConfig,
};
use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
    time::Duration,
};

/// What the plan needs from outside the configuration.
pub struct Outside<'a> {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where routes count.
    pub metrics: &'a Metrics,
    /// The sessions that were ended. The process has one, for every plan that it runs.
    pub invalidations: &'a Arc<Invalidations>,
    /// The process environment.
    pub env: &'a Env<'a>,
}

/// Compiles a checked configuration. What is the same in `previous` keeps its state: connections, what callers have
/// spent, ids, cached sessions, counts.
///
/// # Errors
/// Where a secret cannot be read, or the configuration was not checked.
pub fn build(loaded: Loaded, outside: &Outside<'_>, previous: Option<&Plan>) -> Result<Plan, BuildProblem> {
    let config = &loaded.config;
    // Ahead of whatever is read: a file that is replaced meanwhile is then taken up under the name of what it held before,
    // and looked at again. The other way round it would pass for known.
    let files = changes::files(&loaded);
    let upstreams = upstreams(&loaded, previous)?;
    let keys = config.signing.as_ref().map(|signing| Keys::read(&loaded, signing, outside.env)).transpose()?;
    let stores = stores(&loaded, outside, previous)?;
    let sessions = sessions(config, &upstreams, outside, previous)?;
    let parts = parts(config, &sessions, outside, keys.as_ref(), &stores, previous)?;
    let events = events::sources(&loaded, keys.as_ref())?;
    let routes_before = previous.into_iter().flat_map(|plan| &plan.routes).map(|route| (route.name.as_str(), route));
    let builder = Builder {
        config,
        origins: Origins::new(config, &files),
        before: routes_before.collect(),
        base_dir: &loaded.base_dir,
        upstreams: &upstreams,
        keys: keys.as_ref(),
        events: &events,
        parts: &parts,
        outside,
    };
    let routes = config.routes.iter().map(|written| builder.route(written)).collect::<Result<Vec<_>, _>>()?;
    let listeners = listeners(config, &routes)?;
    let shut = Shut::new(config.shut.iter().map(String::as_str));
    let via = Some(config.node.via.as_str()).filter(|name| *name != "off").and_then(|name| Via::here(name).ok());
    let identity_headers = IdentityHeaders::new(&config.identity_headers);
    let Parts { budgets, instance, .. } = parts;
    let revision = Origin::new(config, &files.values().collect::<Vec<_>>());
    let matched_headers =
        routes.iter().flat_map(|route| &route.matcher.headers).map(|(name, _)| name.clone()).collect();
    Ok(Plan {
        listeners,
        routes,
        shut,
        via,
        identity_headers,
        budgets,
        instance,
        upstreams,
        sessions,
        stores,
        events,
        revision,
        files,
        matched_headers,
        loaded: Arc::new(loaded),
    })
}

/// The keys, which `user` cannot do without.
pub(super) fn signing(keys: Option<&Keys>, user: impl FnOnce() -> String) -> Result<&Keys, BuildProblem> {
    let name = || "signing.active".to_owned();
    keys.ok_or_else(|| BuildProblem::Missing { user: user(), kind: "signing key", name: name() })
}

fn listeners(config: &Config, routes: &[Arc<Route>]) -> Result<Vec<PlannedListener>, BuildProblem> {
    let matchers = Matchers::new(routes.iter().map(|route| Arc::clone(&route.matcher)).collect());
    config.listeners.iter().map(|(name, written)| listener(name, written, &matchers)).collect()
}

fn listener(name: &str, written: &source::Listener, matchers: &Matchers) -> Result<PlannedListener, BuildProblem> {
    let networks = written.trusted_proxies.iter().map(|written| network(written));
    // Its pages are no routes, and a table of all of them takes its time.
    let table = if written.admin { RouteTable::default() } else { RouteTable::new(name, matchers) };
    Ok(PlannedListener {
        name: name.to_owned(),
        is_admin: written.admin,
        trusted_proxies: networks.collect::<Option<_>>().ok_or_else(|| BuildProblem::Network(name.to_owned()))?,
        body_bytes_max: written.limits.body.bytes(),
        head: head_limits(&written.limits),
        table,
    })
}

/// The most that a request head may bring, as the listener counts.
#[must_use]
pub fn head_limits(written: &source::Limits) -> HeadLimits {
    let bytes_max = usize::try_from(written.head.bytes()).unwrap_or(usize::MAX);
    HeadLimits { bytes_max, headers_max: written.headers }
}

pub(super) fn find<'a, T>(
    map: &'a BTreeMap<String, T>,
    name: &str,
    kind: &'static str,
    user: impl FnOnce() -> String,
) -> Result<&'a T, BuildProblem> {
    map.get(name).ok_or_else(|| BuildProblem::Missing { user: user(), kind, name: name.to_owned() })
}

struct Builder<'a> {
    config: &'a Config,
    origins: Origins<'a>,
    /// The routes of the plan before, by name.
    before: HashMap<&'a str, &'a Arc<Route>>,
    base_dir: &'a Path,
    upstreams: &'a Upstreams,
    keys: Option<&'a Keys>,
    events: &'a BTreeMap<String, Arc<EventSource>>,
    parts: &'a Parts,
    outside: &'a Outside<'a>,
}

impl<'a> Builder<'a> {
    fn route(&self, written: &'a source::Route) -> Result<Arc<Route>, BuildProblem> {
        let fault = |fault| BuildProblem::Filter { route: written.name.clone(), fault };
        let expanded = Expanded::of(self.config, &written.chain)
            .map_err(|unplaced| BuildProblem::Chain { route: written.name.clone(), unplaced })?;
        let filters: Vec<&FilterConfig> = expanded.filters.iter().map(|placed| placed.filter).collect();
        let target = self.target(written)?;
        let in_flight = match &target {
            Target::Commands(target) => Some(target.commands.upstream.options().request),
            // A stream is ended by its hub from the moment that it is there.
            Target::WebSocket(_) | Target::Sse(_) => Some(Duration::ZERO),
            Target::Forward(_) | Target::Rpc(_) | Target::Publish(_) => None,
        };
        if let (Some(in_flight), Some(window)) = (in_flight, freshness_window(&filters)) {
            self.outside.invalidations.cover(window, in_flight);
        }
        Ok(Arc::new(Route {
            name: written.name.clone(),
            matcher: Arc::new(Matcher { keeps: written.path.into(), ..Matcher::new(&written.r#match)? }),
            chain: build_chain(&filters, self.parts).map_err(fault)?,
            target,
            metrics: self.metrics(&written.name),
            cost: written.cost.get(),
            origin: self.origins.of(written, &expanded),
            sessions: self.sessions(&filters),
        }))
    }

    /// The counters of a route of this name go on; to look them up anew takes a good part of a large plan's time.
    fn metrics(&self, route: &str) -> Arc<RouteMetrics> {
        let before = self.before.get(route).map(|before| Arc::clone(&before.metrics));
        before.unwrap_or_else(|| Arc::new(self.outside.metrics.route(route)))
    }

    fn target(&self, written: &source::Route) -> Result<Target, BuildProblem> {
        let route = &written.name;
        let source::Route { forward, rpc, commands, websocket, sse, publish, .. } = written;
        let mut targets = Vec::new();
        if let Some(forward) = forward {
            targets.push(Target::Forward(self.forward(route, forward)?));
        }
        if let Some(rpc) = rpc {
            targets.push(Target::Rpc(Arc::new(self.rpc(written, rpc)?)));
        }
        if let Some(commands) = commands {
            targets.push(Target::Commands(Arc::new(self.commands(written, commands)?)));
        }
        if let Some(websocket) = websocket {
            let target = WebSocketTarget::new(self.events(route, websocket.events())?, &websocket.options());
            targets.push(Target::WebSocket(Arc::new(target.map_err(|_| BuildProblem::Origin(route.clone()))?)));
        }
        if let Some(sse) = sse {
            targets.push(Target::Sse(Arc::new(self.events(route, sse.events())?)));
        }
        if let Some(Publish::SigningKeys) = publish {
            targets.push(Target::Publish(Arc::clone(&self.keys(route)?.published)));
        }
        let target = targets.pop().filter(|_| targets.is_empty());
        target.ok_or_else(|| BuildProblem::Target(route.clone()))
    }

    fn events(&self, route: &str, name: &str) -> Result<EventTarget, BuildProblem> {
        let source = find(self.events, name, "events", || format!("route `{route}`"))?;
        Ok(EventTarget { source: Arc::clone(source), invalidations: Arc::clone(self.outside.invalidations) })
    }

    fn sessions(&self, filters: &[&FilterConfig]) -> Option<Arc<Directory>> {
        let named =
            filters.iter().flat_map(|filter| filter.references()).find(|named| named.kind == Named::Sessions)?;
        self.parts.sessions.get(&named.name).cloned()
    }

    fn forward(&self, route: &str, written: &source::Forward) -> Result<Forward, BuildProblem> {
        let upstream = cleartext(self.upstreams, written.upstream(), || format!("route `{route}`"))?;
        let (websocket, host) = match written {
            source::Forward::Upstream(_) => (false, None),
            source::Forward::Options(options) => (options.websocket, options.host.as_deref()),
        };
        let host = host.map(str::parse).transpose().map_err(|_| BuildProblem::Host(route.to_owned()))?;
        Ok(Forward { upstream: Arc::clone(&upstream.part), websocket, host })
    }

    fn rpc(&self, route: &source::Route, written: &source::Rpc) -> Result<RpcTarget, BuildProblem> {
        let user = || format!("route `{}`", route.name);
        let upstream = Arc::clone(&find(self.upstreams, &written.upstream, "upstream", user)?.part);
        let pool = descriptors::read(&self.base_dir.join(&written.descriptors))
            .map_err(|fault| BuildProblem::Descriptors { route: route.name.clone(), fault })?;
        let names = match written.services.as_slice() {
            [] => route.r#match.rpc.as_slice(),
            several => several,
        };
        let services = Services::new(&pool, names.iter().map(String::as_str))
            .map_err(|name| BuildProblem::Missing { user: user(), kind: "service", name: name.to_owned() })?;
        let unary_max = upstream.options().request;
        let message_bytes_max = usize::try_from(written.message_max.bytes()).unwrap_or(usize::MAX);
        let callee = Arc::new(GrpcUpstream { upstream, encoding: written.compression, message_bytes_max });
        Ok(RpcTarget { name: written.upstream.clone(), services, callee, unary_max, idle: written.idle.get() })
    }

    fn commands(&self, route: &source::Route, name: &str) -> Result<CommandTarget, BuildProblem> {
        let events = route.events.as_ref().and_then(|events| self.events.get(events)).cloned();
        let route = &route.name;
        let written = find(&self.config.commands, name, "commands", || format!("route `{route}`"))?;
        let upstream = cleartext(self.upstreams, &written.upstream, || format!("commands `{name}`"))?;
        let signer = Arc::clone(&self.keys(route)?.signer);
        let commands = Commands::new(name, Arc::clone(&upstream.part), &written.routes);
        let invalidations = Arc::clone(self.outside.invalidations);
        Ok(CommandTarget { commands: Arc::new(commands), signer, events, invalidations })
    }

    fn keys(&self, route: &str) -> Result<&Keys, BuildProblem> {
        signing(self.keys, || format!("route `{route}`"))
    }
}
