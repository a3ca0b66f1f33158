//! From a checked configuration to a gateway that serves.

use super::{Predecessor, listeners::Listeners, open_files, prepare::Prepared};
use crate::{
    config::{Env, Loaded},
    events::Sources,
    listener::{self, BindProblem, Bindings, Bound, TlsProblem},
    plan::{BuildProblem, Plan, SharedStore},
    telemetry::{access_log::AccessLog, metrics::Metrics},
    vitals::{Activity, LastCall, Readiness, Reloads, Upgrades, streams::Streams},
};
use arc_swap::ArcSwap;
use filters::{api::Clock, session::Invalidations};
use futures_util::future::join_all;
use pingora_core::services::Service as _;
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
    pub(super) bindings: Arc<Bindings>,
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
    open_files::raise(loaded.config.connections.max, loaded.is_written("/connections/max"));
    let inherited = predecessor.as_mut().map(Predecessor::sockets).unwrap_or_default();
    let prepared = Prepared::of(loaded, env, inherited)?;
    let mut service = prepared.service();
    let Prepared { gateway, listeners: Listeners { bound, again, .. }, invalidations, tell_cursors, .. } = prepared;
    let addresses = bound.iter().map(|bound| (bound.name.clone(), bound.address)).collect();
    let fds = listener::take_over(bound);
    // Connections that come before this wait with the kernel.
    connect(&gateway.plan.load()).await;
    if let Some(predecessor) = predecessor {
        predecessor.ready().await.map_err(StartProblem::Predecessor)?;
    }
    let stopped = gateway.stop.subscribe();
    let service = tokio::spawn(async move { service.start_service(Some(fds), stopped, 1).await });
    let positions = match predecessor.take() {
        Some(predecessor) => predecessor.feeds().await,
        None => BTreeMap::new(),
    };
    tell_cursors.send_replace(Some(positions));
    Ok(Running {
        plan: gateway.plan,
        addresses,
        invalidations,
        readiness: gateway.readiness,
        events: gateway.events,
        clock: gateway.clock,
        last_call: gateway.last_call,
        metrics: gateway.metrics,
        reloading: Mutex::default(),
        reloads: gateway.reloads,
        upgrades: gateway.upgrades,
        sockets: std::sync::Mutex::new(again),
        streams: gateway.streams,
        bindings: gateway.bindings,
        activity: gateway.activity,
        access_log: gateway.access_log,
        stop: gateway.stop,
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

impl Running {
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
