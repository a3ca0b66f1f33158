use super::{
    super::{
        source::{EventKind, Events},
        tree::join,
    },
    Checks,
    upstreams::{endpoint_fault, is_tls},
};
use filters::api::units::{Duration, Size};

/// Each event has its share of queues and of the history; beyond this one no longer sees what they cost.
const MESSAGE_MAX: Size = Size::from_bytes(16 << 20);
const BYTES_MAX: Size = Size::from_bytes(16 << 30);
const STREAMS_MAX: usize = 10_000_000;
const BYTE: Size = Size::from_bytes(1);
const INSTANT: Duration = Duration::from_millis(1);
/// The timer looks at every stream eight times in each interval.
const HEARTBEAT_MIN: Duration = Duration::from_millis(500);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const PING_MIN: Duration = Duration::from_secs(5);
const CLIENT_ID_MAX: usize = 128;
const KINDS_MAX: usize = 1_000;
/// As long as the longest that a device can ask for.
const KIND_BYTES_MAX: usize = 128;
/// It is walked through under the stream's lock: some microseconds.
const COALESCING_QUEUE_MAX: usize = 4_096;

impl Checks<'_> {
    pub(super) fn events(&mut self) {
        let config = self.config;
        for (name, events) in &config.events {
            let pointer = join("/events", name);
            self.feed(&format!("{pointer}/feed"), events);
            self.event_limits(&pointer, events);
            self.kinds(&pointer, events);
        }
    }

    fn feed(&mut self, pointer: &str, events: &Events) {
        let feed = &events.feed;
        let at = format!("{pointer}/grpc");
        if let Some(why) = endpoint_fault(&feed.grpc) {
            // Never quoted: a URL may hold a password.
            self.error(&at, why, "write `http://host:port`, such as `http://127.0.0.1:8082`");
        }
        if let Some(tls) = &feed.tls {
            let remedy = "write `https://` in `grpc`, or remove `tls`";
            self.client_tls(&format!("{pointer}/tls"), tls, is_tls(&feed.grpc), remedy);
        }
        if let Some(id) = &feed.gateway_client_id {
            let is_plain = id.bytes().all(|b| b.is_ascii_graphic());
            if id.is_empty() || id.len() > CLIENT_ID_MAX || !is_plain {
                let remedy = format!("write 1 to {CLIENT_ID_MAX} visible ASCII characters");
                self.error(
                    format_args!("{pointer}/gateway_client_id"),
                    format!("«{id}» cannot name an instance"),
                    remedy,
                );
            }
        }
        self.within(&format!("{pointer}/message_max"), feed.message_max, BYTE, MESSAGE_MAX);
        self.within(&format!("{pointer}/connect_timeout"), feed.connect_timeout, INSTANT, MINUTE);
        self.within(&format!("{pointer}/ping"), feed.ping, PING_MIN, HOUR);
    }

    fn event_limits(&mut self, pointer: &str, events: &Events) {
        let Events { queue, history, heartbeat, streams, .. } = events;
        self.within(&format!("{pointer}/queue/events"), queue.events, 1, 1_000_000);
        self.within(&format!("{pointer}/queue/bytes"), queue.bytes, BYTE, BYTES_MAX);
        self.within(&format!("{pointer}/history/events"), history.events, 0, 1_000_000);
        self.within(&format!("{pointer}/history/bytes"), history.bytes, BYTE, BYTES_MAX);
        self.within(&format!("{pointer}/history/for"), history.r#for, INSTANT, HOUR);
        self.within(&format!("{pointer}/heartbeat"), *heartbeat, HEARTBEAT_MIN, HOUR);
        self.within(&format!("{pointer}/streams/max"), streams.max, 1, STREAMS_MAX);
        self.within(&format!("{pointer}/streams/per_session"), streams.per_session, 1, STREAMS_MAX);
        self.within(&format!("{pointer}/streams/per_user"), streams.per_user, 1, STREAMS_MAX);
        self.within(&format!("{pointer}/streams/per_ip"), streams.per_ip, 1, STREAMS_MAX);
    }

    fn kinds(&mut self, pointer: &str, events: &Events) {
        if events.kinds.len() > KINDS_MAX {
            let what = format!("{} kinds are more than {KINDS_MAX}", events.kinds.len());
            self.error(format_args!("{pointer}/kinds"), what, "name those alone that come often");
        }
        for (name, kind) in &events.kinds {
            let at = join(&format!("{pointer}/kinds"), name);
            if name.is_empty() || name.len() > KIND_BYTES_MAX || name.starts_with("gateway.") {
                let remedy = format!("write the kind of a backend's event: 1 to {KIND_BYTES_MAX} bytes");
                self.error(&at, format!("no backend's event is of the kind «{name}»"), remedy);
            }
            self.kind(&at, kind, events);
        }
        let coalesces = events.kinds.values().any(|kind| !kind.coalesce.is_empty());
        if coalesces && events.queue.events > COALESCING_QUEUE_MAX {
            let what = format!("each event that gives way is looked for among all «{}» that wait", events.queue.events);
            let remedy = format!("write at most {COALESCING_QUEUE_MAX} where a kind has `coalesce`");
            self.error(format_args!("{pointer}/queue/events"), what, remedy);
        }
    }

    fn kind(&mut self, pointer: &str, kind: &EventKind, events: &Events) {
        for field in &kind.coalesce {
            let path = field.strip_prefix("payload.");
            if field != "kind" && path.is_none_or(|path| path.split('.').any(str::is_empty)) {
                let what = format!("«{field}» is nothing that tells values apart");
                let remedy = "write `kind` for one value of the whole kind, or `payload.<field>`";
                self.error(format_args!("{pointer}/coalesce"), what, remedy);
            }
        }
        if let Some(interval) = kind.min_interval {
            // What is held is no silence.
            self.within(&format!("{pointer}/min_interval"), interval, INSTANT, events.heartbeat);
        }
        if kind.coalesce.is_empty() && kind.min_interval.is_none() {
            let remedy = "add `coalesce` or `min_interval`, or remove it";
            self.error(pointer, "nothing is said of how this kind is handed on", remedy);
        }
    }
}
