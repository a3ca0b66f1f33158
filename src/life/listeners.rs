//! The listeners: their sockets, and what each is held to.

use super::{ReloadProblem, Running, StartProblem};
use crate::{
    config::{
        Loaded,
        source::{self, Protocol},
    },
    listener::{self, Bindings, Bound, ConnectionRules, Endpoint, ListenerRules, Tls, TlsProblem},
    plan,
};
use std::{sync::Arc, time::Duration};

/// How long an unread rest of a body is read and thrown away, so that the connection can be used again.
const BODY_DRAIN: Duration = Duration::from_secs(2);

/// Listeners whose sockets are bound.
pub(super) struct Listeners {
    pub(super) bound: Vec<Bound>,
    /// The same sockets, for another process.
    pub(super) again: Vec<Bound>,
    pub(super) bindings: Arc<Bindings>,
}

impl Listeners {
    /// Binds them, or takes the sockets that are `inherited`.
    ///
    /// # Errors
    /// Where a certificate or an address cannot be used.
    pub(super) fn bind(loaded: &Loaded, inherited: Vec<Bound>) -> Result<Self, StartProblem> {
        let rules = rules(loaded)?;
        let asked = loaded.config.listeners.iter().map(|(name, listener)| (name.clone(), listener.bind));
        let bound = listener::bind_all(&asked.collect::<Vec<_>>(), inherited)?;
        let again = bound.iter().map(Bound::again).collect::<Result<_, _>>().map_err(StartProblem::Sockets)?;
        let endpoints = bound.iter().zip(rules).map(|(bound, rules)| Endpoint { address: bound.address, rules });
        let bindings = Arc::new(Bindings::new(endpoints.collect()));
        Ok(Self { bound, again, bindings })
    }
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

/// What every connection is held to.
pub(super) fn connection_rules(written: &source::Connections) -> ConnectionRules {
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
}
