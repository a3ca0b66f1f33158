//! A gateway whose edge carries events over every transport, and what a subscriber checks of what it gets.

use super::{
    backend::{Backend, Reply, Seen},
    device::{answer, device, edge_yaml},
    eventually,
    gateway::{Gateway, SIGNER_PEM},
    push::PushBackend,
    raw::Raw,
};
use ed25519_dalek::{SigningKey, Verifier as _, pkcs8::DecodePrivateKey as _};
use portcullis::client::{Codec, Command};
use prost::Message as _;
use proto::{
    edge::v1::{Event, ExecuteCommandRequest, SubscribeOptions},
    signing::EventFields,
};
use sha2::{Digest as _, Sha256};

/// The routes of the transports that are no RPC.
const ROUTES: &str = r#"
  - { name: ws, match: { listener: edge, path: /events/ws }, chain: signed_edge, websocket: player }
  - name: ws-page
    match: { listener: edge, path: /events/ws/page }
    chain: signed_edge
    websocket: { events: player, origins: ["https://app.example.com"] }
  - name: ws-late
    match: { listener: edge, path: /events/ws/late }
    chain: signed_edge
    websocket: { events: player, first_message: 100ms }
  - name: ws-idle
    match: { listener: edge, path: /events/ws/idle }
    chain: signed_edge
    websocket: { events: player, idle: 4s }
  - { name: sse, match: { listener: edge, path: /events/sse }, chain: signed_edge, sse: player }
  - name: sse-page
    match: { listener: edge, path: /events/sse/page }
    chain: [ { cors: { origins: ["https://app.example.com"] } }, signed_edge ]
    sse: { events: player }
commands:
"#;

/// The gateway, and what stands behind it.
pub struct Scene {
    pub gateway: Gateway,
    pub push: PushBackend,
    _backend: Backend,
}

/// With these options of the event source, each after a comma.
pub async fn scene(options: &str) -> Scene {
    scene_with(options, |yaml| yaml).await
}

/// The same, with a configuration that is changed.
pub async fn scene_with(options: &str, change: impl Fn(String) -> String) -> Scene {
    let push = PushBackend::start().await;
    let backend = Backend::start(|seen| match seen.target.strip_prefix("/api/v1/internal/sessions/other-") {
        Some(_) => of_another_user(seen),
        None => answer(seen),
    });
    let feed = format!("feed: {{ grpc: \"http://{}\" }}", push.address);
    let yaml = edge_yaml(&backend)
        .replace("commands: game }", "commands: game, events: player }")
        .replace("\ncommands:\n", ROUTES)
        .replace("20/10s", "1000/10s");
    let gateway = Gateway::start(&change(format!("{yaml}\nevents: {{ player: {{ {feed}{options} }} }}\n")));
    let scene = Scene { gateway, push, _backend: backend };
    // It is not ready while it has no feed.
    eventually("the feed", || scene.admin("/readyz").contains("200 OK").then_some(()));
    scene
}

fn of_another_user(seen: &Seen) -> Reply {
    let known = seen.target.replace("other-", "session-");
    let session = answer(&Seen { target: known, ..seen.clone() });
    let session = String::from_utf8(session.body.to_vec()).unwrap();
    Reply::json(200, session.replace("user-1", "user-2").replace("session-", "other-"))
}

impl Scene {
    /// An answer of the admin listener, its head with it.
    fn admin(&self, path: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        let answer = Raw::connect(self.gateway.address("admin")).send(request).answer();
        answer.head + &String::from_utf8_lossy(&answer.body)
    }

    /// What a metric says that is shown with these labels.
    pub fn metric(&self, name: &str) -> f64 {
        let metrics = self.admin("/metrics");
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.unwrap_or_default()
    }

    /// Waits until so many streams are open.
    pub fn streams(&self, open: usize) {
        let streams = || self.metric(r#"portcullis_event_streams{events="player"}"#);
        eventually("so many streams", || (streams() == open as f64).then_some(()));
    }
}

/// A signed subscription of a session.
pub fn subscription(session: &str, options: &SubscribeOptions) -> ExecuteCommandRequest {
    device(session).sign(&Command::new("gateway.subscribe", options.encode_to_vec()).unwrap())
}

/// A request in a codec.
pub fn encode(request: &ExecuteCommandRequest, codec: Codec) -> Vec<u8> {
    match codec {
        Codec::Proto => request.encode_to_vec(),
        Codec::Json => serde_json::to_vec(request).unwrap(),
    }
}

/// An event out of a codec; none where it is a heartbeat, else its signature is verified.
pub fn decode(message: &[u8], codec: Codec) -> Option<Event> {
    let event = match codec {
        Codec::Proto => Event::decode(message).unwrap(),
        Codec::Json => serde_json::from_slice(message).unwrap(),
    };
    if event.event_type == "gateway.heartbeat" {
        assert_eq!(event, Event { event_type: event.event_type.clone(), ..Event::default() });
        return None;
    }
    verify(&event);
    Some(event)
}

fn verify(event: &Event) {
    let hash = Sha256::digest(&event.payload_bytes);
    assert_eq!(event.payload_hash, hash.as_slice());
    let fields = EventFields {
        protocol_version: &event.protocol_version,
        event_id: &event.event_id,
        event_type: &event.event_type,
        timestamp_ms: event.timestamp_ms,
        request_id: &event.request_id,
        subject: &event.subject,
        position: &event.position,
        payload_hash: &hash,
    };
    let key = SigningKey::from_pkcs8_pem(SIGNER_PEM).unwrap().verifying_key();
    let signature = ed25519_dalek::Signature::from_slice(&event.signature).unwrap();
    key.verify(&fields.input("edge-event-v1"), &signature).unwrap();
    assert_eq!((event.protocol_version.as_str(), event.key_id.as_str()), ("v1", "main"));
}

/// Whether a stream's first event says that nothing was missed.
pub fn resumed(event: &Event) -> bool {
    assert_eq!(event.event_type, "gateway.server_time");
    let payload: serde_json::Value = serde_json::from_slice(&event.payload_bytes).unwrap();
    assert_eq!(payload["request_id"], event.request_id.as_str());
    payload["resumed"].as_bool().unwrap()
}

/// Everything after this position.
pub fn after(position: &str) -> SubscribeOptions {
    SubscribeOptions { resume_after: position.to_owned(), ..SubscribeOptions::default() }
}
