//! Where events come from, and what their streams are held to.

use super::{
    BuildProblem,
    build::{find, signing},
    kept::Origin,
    keys::Keys,
    signer::Signer,
    upstreams::client_tls,
};
use crate::{
    config::{Loaded, source},
    upstream::EndpointTls,
};
use http::{
    Uri,
    uri::{Authority, Scheme},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// What a field of an event's payload is written with; `kind` alone says that the whole kind has one value.
const PAYLOAD: &str = "payload.";

/// A source of events as a plan has it. Hub and feed are made from it, and live on with plans that have the same.
pub struct EventSource {
    /// The name in the configuration.
    pub name: String,
    /// The backend's stream.
    pub feed: FeedOptions,
    /// What the streams of devices are held to.
    pub limits: HubLimits,
    /// How events of some kinds are handed on; those of others are handed on each and at once.
    pub kinds: BTreeMap<String, KindOptions>,
    /// What all but the key was made from.
    pub origin: Origin,
    /// What makes the backend's stream the one that it is.
    pub feed_origin: Origin,
    /// The key that signs events.
    pub signer: Arc<Signer>,
}

/// How the backend's stream is held.
#[derive(Clone)]
pub struct FeedOptions {
    /// `host:port`, spoken to as gRPC over HTTP/2.
    pub authority: Authority,
    /// In TLS; none in cleartext.
    pub tls: Option<EndpointTls>,
    /// Who this instance is to the backend.
    pub gateway_client_id: String,
    /// The largest event, in bytes.
    pub message_bytes_max: usize,
    /// Until the connection stands.
    pub connect: Duration,
    /// How long the backend may be silent until it is asked whether it lives.
    pub ping: Duration,
}

/// What the streams of devices are held to.
#[derive(Debug, Clone)]
pub struct HubLimits {
    /// The most events that wait for one stream.
    pub queue_events_max: usize,
    /// The most memory that they take. One event is always taken.
    pub queue_bytes_max: usize,
    /// The most events that are kept for streams that resume.
    pub history_events_max: usize,
    /// The most bytes that these take.
    pub history_bytes_max: usize,
    /// How long one is kept.
    pub history_for: Duration,
    /// How long a stream may be silent.
    pub heartbeat: Duration,
    /// How many streams are open at once.
    pub streams: StreamCaps,
}

/// How events of one kind are handed on.
#[derive(Debug, Clone)]
pub struct KindOptions {
    /// Where it is given, an event that still waits gives way to a newer one of its kind that has the same scalars
    /// at these paths into the payload.
    pub coalesce: Option<Vec<Vec<String>>>,
    /// What lies at least between two deliveries to one stream.
    pub min_interval: Option<Duration>,
}

/// How many streams are open at once.
#[derive(Debug, Clone, Copy)]
pub struct StreamCaps {
    /// In all.
    pub max: usize,
    /// Of one device session.
    pub per_session: usize,
    /// Of one user.
    pub per_user: usize,
    /// From one IPv4 address or one IPv6 /64.
    pub per_ip: usize,
}

impl EventSource {
    /// Compiles what the operator wrote.
    ///
    /// # Errors
    /// Where the feed's address is none, or there is nobody to trust at it.
    pub(super) fn new(
        name: &str,
        written: &source::Events,
        loaded: &Loaded,
        signer: Arc<Signer>,
    ) -> Result<Self, BuildProblem> {
        let source::Events { feed, queue, history, heartbeat, streams, kinds } = written;
        let bytes = |size: filters::api::units::Size| usize::try_from(size.bytes()).unwrap_or(usize::MAX);
        let (authority, tls) = address(name, feed, loaded)?;
        let ca = feed.tls.as_ref().and_then(|tls| tls.ca.as_ref());
        let ca = ca.map(|ca| loaded.content(ca)).unwrap_or_default();
        let gateway_client_id = feed.gateway_client_id.as_ref().unwrap_or(&loaded.config.node.id);
        Ok(Self {
            name: name.to_owned(),
            feed_origin: Origin::new(&(&feed.grpc, &feed.tls), &[gateway_client_id.as_bytes(), &ca]),
            feed: FeedOptions {
                authority,
                tls,
                gateway_client_id: gateway_client_id.clone(),
                message_bytes_max: bytes(feed.message_max),
                connect: feed.connect_timeout.get(),
                ping: feed.ping.get(),
            },
            limits: HubLimits {
                queue_events_max: queue.events,
                queue_bytes_max: bytes(queue.bytes),
                history_events_max: history.events,
                history_bytes_max: bytes(history.bytes),
                history_for: history.r#for.get(),
                heartbeat: heartbeat.get(),
                streams: StreamCaps {
                    max: streams.max,
                    per_session: streams.per_session,
                    per_user: streams.per_user,
                    per_ip: streams.per_ip,
                },
            },
            origin: Origin::new(written, &[loaded.config.node.id.as_bytes(), &ca]),
            kinds: kinds.iter().map(|(name, written)| (name.clone(), KindOptions::new(written))).collect(),
            signer,
        })
    }
}

impl KindOptions {
    fn new(written: &source::EventKind) -> Self {
        let path =
            |field: &String| field.strip_prefix(PAYLOAD).map(|path| path.split('.').map(str::to_owned).collect());
        Self {
            coalesce: (!written.coalesce.is_empty()).then(|| written.coalesce.iter().filter_map(path).collect()),
            min_interval: written.min_interval.map(filters::api::units::Duration::get),
        }
    }
}

fn address(
    name: &str,
    feed: &source::EventFeed,
    loaded: &Loaded,
) -> Result<(Authority, Option<EndpointTls>), BuildProblem> {
    let problem = || BuildProblem::Feed(name.to_owned());
    let uri: Uri = feed.grpc.parse().map_err(|_| problem())?;
    let authority = uri.authority().cloned().ok_or_else(problem)?;
    match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTP => Ok((authority, None)),
        Some(scheme) if *scheme == Scheme::HTTPS => {
            let tls = client_tls(loaded, feed.tls.as_ref(), || format!("events `{name}`"))?;
            let host = authority.host().trim_start_matches('[').trim_end_matches(']');
            let tls = tls.of(host)?;
            Ok((authority, Some(tls)))
        }
        _ => Err(problem()),
    }
}

/// The sources that a route names: the others are nobody's to hear, and need no key.
pub(super) fn sources(
    loaded: &Loaded,
    keys: Option<&Keys>,
) -> Result<BTreeMap<String, Arc<EventSource>>, BuildProblem> {
    let mut events = BTreeMap::new();
    let config = &loaded.config;
    for route in &config.routes {
        let Some(name) = route.event_source() else { continue };
        let user = || format!("route `{}`", route.name);
        let written = find(&config.events, name, "events", user)?;
        let signer = &signing(keys, user)?.signer;
        let source = EventSource::new(name, written, loaded, Arc::clone(signer))?;
        events.insert(name.to_owned(), Arc::new(source));
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use ed25519_dalek::SigningKey;
    use std::path::Path;

    fn source(yaml: &str) -> Result<EventSource, BuildProblem> {
        let signer = Signer::new("main", SigningKey::from_bytes(&[7; 32]), proto::signing::Markers::default());
        let gateway = "version: 1\nnode: { id: node-1 }\nlisteners: { edge: { bind: '127.0.0.1:0' } }\nroutes: []\n";
        let loaded = config::parse(gateway, "gateway.yaml", Path::new(""), &|_| None).unwrap();
        EventSource::new("player", &serde_yaml::from_str(yaml).unwrap(), &loaded, Arc::new(signer))
    }

    #[test]
    fn what_is_left_out_is_bounded_all_the_same() {
        let least = source(r#"feed: { grpc: "http://[::1]:8082" }"#).unwrap();
        let FeedOptions { authority, gateway_client_id, message_bytes_max, .. } = &least.feed;
        assert_eq!((authority.as_str(), gateway_client_id.as_str()), ("[::1]:8082", "node-1"));
        assert_eq!(*message_bytes_max, 1 << 20);
        let HubLimits { queue_events_max, queue_bytes_max, history_events_max, history_bytes_max, .. } = least.limits;
        assert_eq!([queue_events_max, queue_bytes_max], [256, 1 << 20]);
        assert_eq!([history_events_max, history_bytes_max], [1024, 64 << 20]);
        assert_eq!((least.limits.history_for.as_secs(), least.limits.heartbeat.as_secs()), (120, 15));
    }

    #[test]
    fn an_own_client_id_goes_ahead_of_the_nodes() {
        let named = source(r#"feed: { grpc: "http://push:1", gateway_client_id: gw-7 }"#).unwrap();
        assert_eq!(named.feed.gateway_client_id, "gw-7");
        for address in ["ftp://push:1", "push:1", "http://", "https://a..b:1"] {
            assert!(source(&format!(r#"feed: {{ grpc: "{address}" }}"#)).is_err(), "{address}");
        }
        assert!(named.feed.tls.is_none());
        let sealed = source(r#"feed: { grpc: "https://[::1]:1" }"#).unwrap();
        assert!(sealed.feed.tls.is_some());
    }
}
