//! Everything that serves, put together ahead of the first connection.

use super::{
    StartProblem,
    door::Door,
    events::{self, Cursors},
    listeners::{Listeners, connection_rules},
};
use crate::{
    config::{Env, Loaded, source},
    events::Sources,
    listener::{self, Bound, Caps, Guard},
    plan::{self, Outside},
    proxy::{Gateway, attempts::TRIES_MAX},
    telemetry::{access_log::AccessLog, metrics::Metrics},
    vitals::{Activity, LastCall, Readiness, streams::Streams},
};
use arc_swap::ArcSwap;
use filters::{api::Clock, memory::SystemClock, session::Invalidations};
use pingora_core::{apps::HttpServerOptions, server::configuration::ServerConf, services::listening::Service};
use pingora_proxy::{HttpProxy, http_proxy};
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::watch;

/// The most idle connections to backends that are kept, over all upstreams.
const UPSTREAM_POOL: usize = 512;

/// A gateway whose sockets are bound and which accepts nothing yet: connections wait with the kernel.
pub(super) struct Prepared {
    pub(super) gateway: Gateway,
    pub(super) listeners: Listeners,
    pub(super) invalidations: Arc<Invalidations>,
    /// Where the feeds go on, once no other process holds them.
    pub(super) tell_cursors: watch::Sender<Option<BTreeMap<String, String>>>,
    caps: Arc<Caps>,
}

impl Prepared {
    /// Puts it together from a checked configuration, with the sockets that are `inherited` where they suit.
    ///
    /// # Errors
    /// Where an address, a certificate, a key or a file cannot be used.
    pub(super) fn of(loaded: Loaded, env: &Env<'_>, inherited: Vec<Bound>) -> Result<Self, StartProblem> {
        let metrics = Arc::new(Metrics::new()?);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let invalidations = Arc::new(Invalidations::new(Arc::clone(&clock)));
        let outside = Outside { clock: Arc::clone(&clock), metrics: &metrics, invalidations: &invalidations, env };
        let plan = Arc::new(plan::build(loaded, &outside, None)?);
        let loaded = &plan.loaded;
        let (log, dropped) = (&loaded.config.observe.access_log.to, metrics.access_lines_dropped.clone());
        let access_log = AccessLog::start(log, &loaded.base_dir, &loaded.config.node.id, dropped);
        let access_log = access_log.map_err(StartProblem::AccessLog)?;
        let listeners = Listeners::bind(loaded, inherited)?;
        let source::Connections { max, per_ip, .. } = loaded.config.connections;
        let caps = Caps::new(max, per_ip);
        let (tell_cursors, cursors) = Cursors::told();
        let sources = events::take_over(&Sources::new(), &plan, &cursors, &clock, &invalidations, &metrics);
        let in_force = Arc::new(ArcSwap::new(plan));
        let gateway = Gateway {
            streams: Arc::new(Streams::new(Arc::clone(&in_force))),
            reloads: Arc::default(),
            upgrades: Arc::default(),
            plan: in_force,
            clients: Caps::new(usize::MAX, per_ip),
            bindings: Arc::clone(&listeners.bindings),
            metrics,
            access_log: Arc::new(access_log),
            clock,
            readiness: Arc::new(Readiness::default()),
            events: Arc::new(ArcSwap::from_pointee(sources)),
            activity: Arc::new(Activity::new(Arc::clone(&caps))),
            last_call: Arc::new(LastCall::default()),
            stop: watch::Sender::new(false),
        };
        let prepared = Self { gateway, listeners, invalidations, tell_cursors, caps };
        prepared.show()?;
        Ok(prepared)
    }

    /// Shows what is counted elsewhere among the metrics.
    fn show(&self) -> Result<(), prometheus::Error> {
        let Gateway { plan, metrics, events, .. } = &self.gateway;
        metrics.watch_connections(Arc::clone(&self.caps))?;
        metrics.watch_log()?;
        let in_force = Arc::clone(plan);
        metrics.watch_budgets(Box::new(move || in_force.load().budgets.values().cloned().collect()))?;
        let configured = Arc::clone(plan);
        metrics.watch_upstreams(Box::new(move || {
            configured.load().upstreams.values().map(|kept| Arc::clone(&kept.part)).collect()
        }))?;
        events::show(events, metrics)
    }

    /// What accepts connections once it is started: the guard, and behind it Pingora's proxy.
    pub(super) fn service(&self) -> Service<Guard<HttpProxy<Gateway>>> {
        let Gateway { plan, bindings, metrics, access_log, clock, .. } = &self.gateway;
        // Whether there is another try is decided where one has failed.
        let max_retries = usize::from(TRIES_MAX);
        let conf = ServerConf { max_retries, upstream_keepalive_pool_size: UPSTREAM_POOL, ..ServerConf::default() };
        let mut proxy = http_proxy(&Arc::new(conf), self.gateway.clone());
        // CONNECT is refused with everything that a refusal has. Pingora's own answer to it has nothing.
        let mut options = HttpServerOptions::default();
        options.allow_connect_method_proxying = true;
        proxy.server_options = Some(options);
        let (metrics, access_log, clock) = (Arc::clone(metrics), Arc::clone(access_log), Arc::clone(clock));
        let door = Arc::new(Door { plan: Arc::clone(plan), metrics, access_log, clock });
        let rules = connection_rules(&plan.load().loaded.config.connections);
        let guard = Guard::new(proxy, Arc::clone(bindings), rules, Arc::clone(&self.caps), door);
        listener::service(guard, bindings)
    }
}
