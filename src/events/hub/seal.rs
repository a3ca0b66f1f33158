//! One event on its way to the wire: hashed, signed and encoded once, however many streams carry it.

use super::kinds::Handling;
use crate::plan::signer::Signer;
use arc_swap::ArcSwap;
use bytes::Bytes;
use prost::Message as _;
use proto::{edge::v1::Event, push::v1::ClientEvent, signing::EventFields};
use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// The event_type of what a silent stream carries.
pub const HEARTBEAT: &str = "gateway.heartbeat";
/// The `event_type` of what every stream begins with.
pub const SERVER_TIME: &str = "gateway.server_time";
/// Every event_type that the gateway itself gives begins so, and no backend's may.
pub(super) const OWN: &str = "gateway.";
pub(super) const PROTOCOL_VERSION: &str = "v1";
/// What an event costs beside its text, kept as a draft and as what was sealed: both structs, their strings'
/// allocations, its places in the history, and in JSON its names, hash and signature.
const OVERHEAD: usize = 1024;

/// What a sealed event takes beside its protobuf: both structs, and the strings of the one that is not encoded.
const SEALED_OVERHEAD: usize = 640;

/// An event as streams carry it.
#[derive(Debug)]
pub struct Encoded {
    /// The event, for transports that write it in another form.
    pub event: Event,
    /// Its protobuf, without any frame.
    pub bytes: Bytes,
    pub(super) handling: Handling,
    json: OnceLock<Bytes>,
}

impl Encoded {
    pub(super) fn new(event: Event, handling: Handling) -> Self {
        let bytes: Bytes = event.encode_to_vec().into();
        // Payload, hash and signature are then slices of what was encoded: kept beside it, they would double an event.
        let event = Event::decode(bytes.clone()).unwrap_or(event);
        Self { event, bytes, handling, json: OnceLock::new() }
    }

    /// What it takes of a queue's bytes: the memory that it holds, unless it is written as JSON somewhere.
    pub(super) fn memory(&self) -> usize {
        self.bytes.len() + SEALED_OVERHEAD
    }

    /// The heartbeat: unsigned, and nothing but its event_type.
    #[must_use]
    pub fn heartbeat() -> Self {
        Self::new(Event { event_type: HEARTBEAT.to_owned(), ..Event::default() }, Handling::default())
    }

    /// Its JSON, written when it is first asked for, and shared like the protobuf.
    #[must_use]
    pub fn json(&self) -> &Bytes {
        // Texts and numbers only: nothing in an event can fail to be JSON.
        self.json.get_or_init(|| serde_json::to_vec(&self.event).unwrap_or_default().into())
    }
}

/// Signs events, and counts how many.
pub(super) struct Sealer {
    signer: ArcSwap<Signer>,
    pub(super) sealed: AtomicU64,
}

impl Sealer {
    pub(super) fn new(signer: Arc<Signer>) -> Self {
        Self { signer: ArcSwap::new(signer), sealed: AtomicU64::new(0) }
    }

    /// From here on signs with this key.
    pub(super) fn sign_with(&self, signer: Arc<Signer>) {
        self.signer.store(signer);
    }

    /// Fills in version, hash, signature and key_id.
    pub(super) fn seal(&self, mut event: Event, handling: Handling) -> Arc<Encoded> {
        PROTOCOL_VERSION.clone_into(&mut event.protocol_version);
        let fields = EventFields::from(&event);
        let signer = self.signer.load();
        let (payload_hash, signature) = signer.sign_event(fields, &event.payload_bytes);
        event.payload_hash = Bytes::copy_from_slice(&payload_hash);
        event.signature = Bytes::copy_from_slice(&signature);
        signer.key_id().clone_into(&mut event.key_id);
        self.sealed.fetch_add(1, Relaxed);
        Arc::new(Encoded::new(event, handling))
    }
}

/// An event that is sealed for the first stream that it reaches. With several instances most events reach none of
/// this one's, and cost no signature here.
pub(super) struct Entry {
    draft: Event,
    /// The one device that it is for; empty for every device of its subject.
    device_session_id: Box<str>,
    pub(super) handling: Handling,
    sealed: OnceLock<Arc<Encoded>>,
}

impl Entry {
    /// What the backend pushed, at this position. `now_ms` is its time where it has none.
    pub(super) fn of_client(pushed: ClientEvent, position: &str, now_ms: i64, handling: Handling) -> Self {
        let draft = Event {
            event_type: pushed.kind,
            event_id: pushed.event_id,
            timestamp_ms: if pushed.timestamp_ms == 0 { now_ms } else { pushed.timestamp_ms },
            request_id: pushed.request_id,
            trace_id: pushed.trace_id,
            // A slice of what was read would keep the whole read buffer for as long as the event is kept.
            payload_bytes: Bytes::copy_from_slice(&pushed.payload),
            subject: pushed.user_id,
            position: position.to_owned(),
            ..Event::default()
        };
        Self { draft, device_session_id: pushed.device_session_id.into(), handling, sealed: OnceLock::new() }
    }

    /// One of the gateway's own, for everybody.
    pub(super) fn for_everybody(draft: Event) -> Self {
        Self { draft, device_session_id: "".into(), handling: Handling::default(), sealed: OnceLock::new() }
    }

    pub(super) fn event_type(&self) -> &str {
        &self.draft.event_type
    }

    pub(super) fn audience(&self) -> Audience<'_> {
        match (self.draft.subject.as_str(), &*self.device_session_id) {
            ("", "") => Audience::Everybody,
            (user_id, "") => Audience::User(user_id),
            ("", session_id) => Audience::Session { session_id, user_id: None },
            (user_id, session_id) => Audience::Session { session_id, user_id: Some(user_id) },
        }
    }

    /// What it takes of the history's bytes, whatever it was sealed and written as: the draft, its protobuf, and its
    /// JSON, in base64.
    pub(super) fn bytes(&self) -> usize {
        let text = self.draft.encoded_len();
        2 * text + text.div_ceil(3) * 4 + self.device_session_id.len() + OVERHEAD
    }

    /// Sealed, for a stream of `user_id` that is among its audience. Where it names a device only, that device's
    /// user is its subject.
    pub(super) fn sealed(&self, sealer: &Sealer, user_id: &str) -> &Arc<Encoded> {
        self.sealed.get_or_init(|| {
            let mut event = self.draft.clone();
            if matches!(self.audience(), Audience::Session { user_id: None, .. }) {
                user_id.clone_into(&mut event.subject);
            }
            sealer.seal(event, self.handling)
        })
    }
}

/// Whom an event is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience<'a> {
    Everybody,
    User(&'a str),
    Session { session_id: &'a str, user_id: Option<&'a str> },
}

impl Audience<'_> {
    pub(super) fn has(&self, session_id: &str, user_id: &str) -> bool {
        match self {
            Self::Everybody => true,
            Self::User(user) => *user == user_id,
            Self::Session { session_id: session, user_id: user } => {
                *session == session_id && user.is_none_or(|user| user == user_id)
            }
        }
    }
}
