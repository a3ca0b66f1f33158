use super::{
    super::{source::Events, tree::join},
    Checks,
    upstreams::endpoint_fault,
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
const CLIENT_ID_MAX: usize = 128;

impl Checks<'_> {
    pub(super) fn events(&mut self) {
        let config = self.config;
        for (name, events) in &config.events {
            let pointer = join("/events", name);
            self.feed(&format!("{pointer}/feed"), events);
            self.event_limits(&pointer, events);
        }
    }

    fn feed(&mut self, pointer: &str, events: &Events) {
        let feed = &events.feed;
        let at = format!("{pointer}/grpc");
        if let Some(why) = endpoint_fault(&feed.grpc) {
            // Never quoted: a URL may hold a password.
            self.error(&at, why, "write `http://host:port`, such as `http://127.0.0.1:8082`");
        } else if feed.grpc.starts_with("https") {
            self.error(&at, "a feed is spoken to in cleartext only", "name an `http://` address");
        }
        if let Some(id) = &feed.gateway_client_id {
            let is_plain = id.bytes().all(|b| b.is_ascii_graphic());
            if id.is_empty() || id.len() > CLIENT_ID_MAX || !is_plain {
                let remedy = format!("write 1 to {CLIENT_ID_MAX} visible ASCII characters");
                self.error(&format!("{pointer}/gateway_client_id"), format!("`{id}` cannot name an instance"), remedy);
            }
        }
        self.within(&format!("{pointer}/message_max"), feed.message_max, BYTE, MESSAGE_MAX);
        self.within(&format!("{pointer}/connect_timeout"), feed.connect_timeout, INSTANT, MINUTE);
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
}
