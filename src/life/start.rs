//! From a checked configuration to a gateway that serves.

use super::{
    Activity, LastCall, Predecessor, Readiness, Reloads, Upgrades, door::Door, events::Cursors, open_files,
    reload::ReloadProblem, streams::Streams,
};
use crate::{
    config::{
        Env, Loaded,
        source::{self, Protocol},
    },
    events::Sources,
    listener::{
        self, BindProblem, Bindings, Bound, Caps, ConnectionRules, Endpoint, Guard, ListenerRules, Tls, TlsProblem,
    },
    plan::{self, BuildProblem, Outside, Plan, SharedStore},
    proxy::Gateway,
    telemetry::{access_log::AccessLog, metrics::Metrics},
};
use arc_swap::ArcSwap;
use filters::{api::Clock, memory::SystemClock, session::Invalidations};
use futures_util::future::join_all;
use pingora_core::{server::configuration::ServerConf, services::Service as _};
use pingora_proxy::{HttpProxy, http_proxy};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    net::SocketAddr,
    process,
    sync::{Arc, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Mutex, watch},
    task::JoinHandle,
};

/// The most idle connections to backends that are kept, over all upstreams.
const UPSTREAM_POOL: usize = 512;
/// How long an unread rest of a body is read and thrown away, so that the connection can be used again.
const BODY_DRAIN: Duration = Duration::from_secs(2);

/// Why a gateway did not start. Nothing was announced, and nothing is served.
#[derive(Debug, thiserror::Error)]
pub enum StartProblem {
    /// An address could not be taken.
    #[error(transparent)]
    Bind(#[from] BindProblem),
    /// A certificate cannot be used.
    #[error("listener `{listener}`: {problem}")]
    Tls {
        /// The listener.
        listener: String,
        /// What is wrong.
        problem: TlsProblem,
    },
    /// The configuration gives no plan.
    #[error(transparent)]
    Build(#[from] BuildProblem),
    /// The access log cannot be written.
    #[error("access log: {0}")]
    AccessLog(io::Error),
    /// Two metrics have one name.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The listening sockets cannot be kept for another process.
    #[error("the listening sockets cannot be kept: {0}")]
    Sockets(io::Error),
    /// The process whose place this one was to take serves on, or has ended.
    #[error("the old process has let go: {0}")]
    Predecessor(io::Error),
}

/// A gateway that serves.
pub struct Running {
    /// The plan in force.
    pub plan: Arc<ArcSwap<Plan>>,
    /// The listeners by name, with the addresses that were bound.
    pub addresses: Vec<(String, SocketAddr)>,
    /// The sessions that were ended: whoever hears of one says so here.
    pub invalidations: Arc<Invalidations>,
    pub(super) readiness: Arc<Readiness>,
    pub(super) events: Arc<ArcSwap<Sources>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) reloading: Mutex<()>,
    /// Who may ask for a reload, and what came of the last one.
    pub reloads: Arc<Reloads>,
    pub(super) upgrades: Arc<Upgrades>,
    /// For another process. While they are there, connections are queued.
    pub(super) sockets: std::sync::Mutex<Vec<Bound>>,
    pub(super) streams: Arc<Streams>,
    bindings: Arc<Bindings>,
    pub(super) activity: Arc<Activity>,
    pub(super) last_call: Arc<LastCall>,
    access_log: Arc<AccessLog>,
    pub(super) stop: watch::Sender<bool>,
    pub(super) service: Mutex<JoinHandle<()>>,
}

/// Starts a gateway on the current runtime. When this returns, every listener takes connections.
///
/// # Errors
/// Where an address, a certificate, a key or a file cannot be used.
pub async fn start(loaded: Loaded, env: &Env<'_>) -> Result<Running, StartProblem> {
    start_after(loaded, env, &mut None).await
}

/// The same, in the place of a process that serves: with its sockets, where they are still wanted, and without a moment
/// in which nobody serves. That one goes on until all is prepared here, and leaves the predecessor there where it is to
/// be told why this one does not.
///
/// # Errors
/// As [`start`], and where the other process has let go.
pub async fn start_after(
    loaded: Loaded,
    env: &Env<'_>,
    predecessor: &mut Option<Predecessor>,
) -> Result<Running, StartProblem> {
    open_files::raise(loaded.config.connections.max);
    let metrics = Arc::new(Metrics::new()?);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let invalidations = Arc::new(Invalidations::new(Arc::clone(&clock)));
    let outside = Outside { clock: Arc::clone(&clock), metrics: &metrics, invalidations: &invalidations, env };
    let target = loaded.config.observe.access_log.to.clone();
    let access_log = AccessLog::start(&target, &loaded.base_dir, metrics.access_lines_dropped.clone());
    let access_log = Arc::new(access_log.map_err(StartProblem::AccessLog)?);
    let rules = rules(&loaded)?;
    let asked: Vec<_> = loaded.config.listeners.iter().map(|(name, listener)| (name.clone(), listener.bind)).collect();
    let connections = loaded.config.connections.clone();
    let plan = Arc::new(ArcSwap::from_pointee(plan::build(loaded, &outside, None)?));
    let inherited = predecessor.as_mut().map(Predecessor::sockets).unwrap_or_default();
    let bound = listener::bind_all(&asked, inherited)?;
    let sockets = bound.iter().map(Bound::again).collect::<Result<_, _>>().map_err(StartProblem::Sockets)?;
    let addresses: Vec<_> = bound.iter().map(|bound| (bound.name.clone(), bound.address)).collect();
    let endpoints = addresses.iter().zip(rules).map(|((_, address), rules)| Endpoint { address: *address, rules });
    let bindings = Arc::new(Bindings::new(endpoints.collect()));
    let readiness = Arc::new(Readiness::default());
    let caps = Caps::new(connections.max, connections.per_ip);
    metrics.watch_connections(Arc::clone(&caps))?;
    metrics.watch_log()?;
    let in_force = Arc::clone(&plan);
    metrics.watch_budgets(Box::new(move || in_force.load().budgets.values().cloned().collect()))?;
    let activity = Arc::new(Activity::new(Arc::clone(&caps)));
    let (tell_cursors, cursors) = Cursors::told();
    let sources = super::events::take_over(&Sources::new(), &plan.load(), &cursors, &clock, &invalidations, &metrics);
    let events = Arc::new(ArcSwap::from_pointee(sources));
    super::events::show(&events, &metrics)?;
    let (reloads, upgrades) = (Arc::<Reloads>::default(), Arc::<Upgrades>::default());
    let last_call = Arc::new(LastCall::default());
    let streams = Arc::new(Streams::new(Arc::clone(&plan)));
    let (stop, stopped) = watch::channel(false);
    let gateway = Gateway {
        streams: Arc::clone(&streams),
        reloads: Arc::clone(&reloads),
        upgrades: Arc::clone(&upgrades),
        plan: Arc::clone(&plan),
        bindings: Arc::clone(&bindings),
        metrics: Arc::clone(&metrics),
        access_log: Arc::clone(&access_log),
        clock: Arc::clone(&clock),
        readiness: Arc::clone(&readiness),
        events: Arc::clone(&events),
        activity: Arc::clone(&activity),
        last_call: Arc::clone(&last_call),
        stop: stop.clone(),
    };
    let door = Door { metrics: Arc::clone(&metrics), access_log: Arc::clone(&access_log), clock: Arc::clone(&clock) };
    let guard = Guard::new(proxy(gateway), Arc::clone(&bindings), connection_rules(&connections), caps, Arc::new(door));
    let mut service = listener::service(guard, &bindings);
    let fds = listener::take_over(bound);
    // Connections that come before this wait with the kernel.
    connect(&plan.load()).await;
    if let Some(predecessor) = predecessor {
        predecessor.ready().await.map_err(StartProblem::Predecessor)?;
    }
    let service = tokio::spawn(async move { service.start_service(Some(fds), stopped, 1).await });
    let positions = match predecessor.take() {
        Some(predecessor) => predecessor.feeds().await,
        None => BTreeMap::new(),
    };
    tell_cursors.send_replace(Some(positions));
    Ok(Running {
        plan,
        addresses,
        invalidations,
        readiness,
        events,
        clock,
        last_call,
        metrics,
        reloading: Mutex::default(),
        reloads,
        upgrades,
        sockets: std::sync::Mutex::new(sockets),
        streams,
        bindings,
        activity,
        access_log,
        stop,
        service: Mutex::new(service),
    })
}

/// Connects the shared stores of a plan that are not connected yet, and waits until each was tried once: the first
/// command would find no store. One that is out of reach keeps nobody waiting longer.
pub(super) async fn connect(plan: &Plan) {
    for shared in plan.shared_stores() {
        if let Some(left) = shared.begin() {
            tokio::spawn(Arc::clone(shared.store()).run(left));
        }
    }
    join_all(plan.shared_stores().map(|shared| shared.store().tried())).await;
}

/// Pingora's proxy around the gateway.
fn proxy(gateway: Gateway) -> HttpProxy<Gateway> {
    // One try and one more; `forward::may_retry` says when.
    let conf = ServerConf { max_retries: 2, upstream_keepalive_pool_size: UPSTREAM_POOL, ..ServerConf::default() };
    http_proxy(&Arc::new(conf), gateway)
}

fn rules(loaded: &Loaded) -> Result<Vec<ListenerRules>, StartProblem> {
    let rules = |(name, written): (&String, &source::Listener)| {
        let speaks = |protocol| written.protocols.contains(&protocol);
        let tls = tls(name, written, loaded);
        Ok(ListenerRules {
            name: name.as_str().into(),
            http1: speaks(Protocol::Http1),
            http2: speaks(Protocol::H2),
            tls: tls.map_err(|(listener, problem)| StartProblem::Tls { listener, problem })?,
            head: plan::head_limits(&written.limits),
            streams_max: written.limits.streams,
            counted: !written.admin,
        })
    };
    loaded.config.listeners.iter().map(rules).collect()
}

/// The certificate and key of a listener, as they are on the disk now.
fn tls(name: &str, written: &source::Listener, loaded: &Loaded) -> Result<Option<Tls>, (String, TlsProblem)> {
    let Some(tls) = &written.tls else { return Ok(None) };
    let speaks = |protocol| written.protocols.contains(&protocol);
    let (http1, http2) = (speaks(Protocol::Http1), speaks(Protocol::H2));
    Tls::load(&loaded.resolve(&tls.certificate), &loaded.resolve(&tls.key), http1, http2)
        .map(Some)
        .map_err(|problem| (name.to_owned(), problem))
}

fn connection_rules(written: &source::Connections) -> ConnectionRules {
    ConnectionRules {
        head_deadline: written.head_deadline.get(),
        keepalive: written.keepalive.get(),
        body_idle: written.body_idle.get(),
        write: written.write.get(),
        drain: BODY_DRAIN,
    }
}

impl Running {
    /// Of each listener that speaks TLS: its certificate now, and the one that it is to have.
    pub(super) fn certificates(&self, loaded: &Loaded) -> Result<Vec<(Tls, Tls)>, ReloadProblem> {
        let mut certificates = Vec::new();
        for endpoint in self.bindings.endpoints() {
            let name: &str = &endpoint.rules.name;
            let (Some(written), Some(now)) = (loaded.config.listeners.get(name), &endpoint.rules.tls) else { continue };
            let new =
                tls(name, written, loaded).map_err(|(listener, problem)| ReloadProblem::Tls { listener, problem })?;
            certificates.extend(new.map(|new| (now.clone(), new)));
        }
        Ok(certificates)
    }

    /// Says on stdout, in one JSON line, that it is ready and where.
    pub fn announce(&self) {
        let listeners: Map<String, Value> =
            self.addresses.iter().map(|(name, address)| (name.clone(), Value::String(address.to_string()))).collect();
        let line = json!({ "event": "ready", "pid": process::id(), "listeners": listeners });
        // Whoever started the process without a reader for its output does not want the line.
        drop(writeln!(io::stdout(), "{line}"));
    }

    /// The listening sockets once more, for another process.
    pub(super) fn sockets(&self) -> io::Result<Vec<Bound>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner).iter().map(Bound::again).collect()
    }

    /// The address of a listener.
    #[must_use]
    pub fn address(&self, listener: &str) -> Option<SocketAddr> {
        self.addresses.iter().find(|(name, _)| name == listener).map(|(_, address)| *address)
    }

    /// Leaves the stores, and writes what is left of the access log, within `wait`.
    pub fn close(&self, wait: Duration) {
        // Requests in flight needed their stores, so these end last.
        self.plan.load().shared_stores().for_each(SharedStore::leave);
        self.access_log.close(wait);
    }
}
