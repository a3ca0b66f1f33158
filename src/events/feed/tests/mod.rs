mod backend;
mod bad_input;
mod pings;
mod reconnects;

use super::*;
use crate::{
    events::hub::{Delivery, EndReason, EventTypes, Hub, Subscriber, Subscription},
    plan::{
        events::{HubLimits, StreamCaps},
        signer::Signer,
    },
};
use backend::{Asked, Backend};
use ed25519_dalek::SigningKey;
use filters::memory::SystemClock;
use proto::{push::v1::ClientEvent, signing::Markers};
use std::collections::BTreeMap;
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};

const SECOND: Duration = Duration::from_secs(1);

fn hub() -> (Arc<Hub>, Publisher) {
    let limits = HubLimits {
        queue_events_max: 1 << 20,
        queue_bytes_max: 1 << 30,
        history_events_max: 1 << 20,
        history_bytes_max: 1 << 30,
        history_for: SECOND * 3_600,
        heartbeat: SECOND * 15,
        streams: StreamCaps { max: 100, per_session: 100, per_user: 100, per_ip: 100 },
    };
    let signer = Arc::new(Signer::new("main", SigningKey::from_bytes(&[7; 32]), Markers::default()));
    Hub::new(limits, &BTreeMap::new(), signer, Arc::new(SystemClock::new()), Arc::new(()))
}

fn options(authority: &str) -> FeedOptions {
    FeedOptions {
        authority: authority.parse().unwrap(),
        tls: None,
        gateway_client_id: "gw-1".to_owned(),
        message_bytes_max: 1024,
        connect: SECOND,
        ping: crate::upstream::liveness::PING_EVERY,
    }
}

/// A feed with a scripted backend ahead of it, and a hub behind it.
struct Stage {
    backend: Backend,
    asked: mpsc::UnboundedReceiver<Asked>,
    hub: Arc<Hub>,
    status: Arc<FeedStatus>,
    invalidations: Arc<Invalidations>,
    feed: JoinHandle<()>,
}

impl Stage {
    fn new() -> Self {
        let (hub, publisher) = hub();
        let invalidations = Arc::new(Invalidations::new(Arc::new(SystemClock::new())));
        let (backend, asked) = Backend::new();
        let feed = Feed::over(Arc::new(backend.clone()), options("backend:8082"), publisher, &invalidations);
        let status = feed.status();
        Self { backend, asked, hub, status, invalidations, feed: tokio::spawn(feed.run()) }
    }

    /// The next subscription, which must come with this cursor.
    async fn asked(&mut self, cursor: &str) -> Asked {
        let asked = timeout(SECOND * 600, self.asked.recv()).await.unwrap().unwrap();
        assert_eq!([asked.request.gateway_client_id.as_str(), &asked.request.cursor], ["gw-1", cursor]);
        asked
    }

    async fn link(&self, is_up: bool) -> Link {
        let mut link = self.status.watch();
        timeout(SECOND * 600, link.wait_for(|link| link.is_up() == is_up)).await.unwrap().unwrap().clone()
    }

    fn subscriber(&self, device: &str) -> Subscriber {
        let subscription = Subscription {
            session_id: device,
            user_id: device.split('/').next().unwrap(),
            client_ip: [192, 0, 2, 1].into(),
            request_id: "req-1",
            resume_after: "",
            event_types: EventTypes::default(),
        };
        let mut subscriber = self.hub.subscribe(subscription).unwrap();
        assert!(subscriber.try_next().is_some(), "gateway.server_time");
        subscriber
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.feed.abort();
    }
}

/// An event for everybody, whose cursor is its id.
fn event(id: &str) -> Result<PushEvent, Status> {
    let event = ClientEvent { kind: "turn".to_owned(), event_id: id.to_owned(), ..ClientEvent::default() };
    Ok(PushEvent { kind: Some(Kind::ClientEvent(event)), cursor: id.to_owned() })
}

fn gap(cursor: &str) -> Result<PushEvent, Status> {
    Ok(PushEvent { kind: None, cursor: cursor.to_owned() })
}

fn invalidation(user_id: &str, device_session_id: &str, cursor: &str) -> Result<PushEvent, Status> {
    let (user_id, device_session_id) = (user_id.to_owned(), device_session_id.to_owned());
    let invalidation = SessionInvalidation { user_id, device_session_id, reason: "stolen".to_owned() };
    Ok(PushEvent { kind: Some(Kind::SessionInvalidation(invalidation)), cursor: cursor.to_owned() })
}

/// The next event's id, or its type where it is the gateway's own.
async fn next(subscriber: &mut Subscriber) -> String {
    match timeout(SECOND * 60, subscriber.next()).await.unwrap() {
        Delivery::Event(encoded) if encoded.event.event_type.starts_with("gateway.") => {
            encoded.event.event_type.clone()
        }
        Delivery::Event(encoded) => encoded.event.event_id.clone(),
        Delivery::Heartbeat => panic!("there is no timer"),
        Delivery::End(reason) => format!("{reason:?}"),
    }
}
