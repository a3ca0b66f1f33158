use super::{
    super::source::{Protocol, Route, Sse, WebSocket},
    Checks,
};
use filters::{api::units::Duration, cors::is_origin};

/// A client that needs longer holds a connection for nothing.
const FIRST_MESSAGE_MAX: Duration = Duration::from_secs(60);
const INSTANT: Duration = Duration::from_millis(1);
/// Half of it is one round trip, and a device that sleeps between two.
const IDLE_MIN: Duration = Duration::from_secs(1);
const IDLE_MAX: Duration = Duration::from_secs(3_600);

impl Checks<'_> {
    /// Events are subscribed to by a signed request: beside commands on their service, or on a route of their own.
    pub(super) fn subscriptions(&mut self, pointer: &str, route: &Route) {
        let config = self.config;
        let sources = [
            ("events", route.events.as_deref()),
            ("websocket", route.websocket.as_ref().map(WebSocket::events)),
            ("sse", route.sse.as_ref().map(Sse::events)),
        ];
        for (target, events) in sources {
            if let Some(events) = events {
                self.known(self.short_or(pointer, target, "events"), "event source", events, &config.events);
            }
        }
        if route.events.is_some() && route.commands.is_none() {
            let what = "events are served beside commands, behind the same chain";
            self.error(format_args!("{pointer}/events"), what, "add `commands: NAME` to this route");
        }
        self.websocket(pointer, route);
    }

    fn websocket(&mut self, pointer: &str, route: &Route) {
        let Some(websocket) = &route.websocket else { return };
        let listener = route.r#match.listener.as_ref().and_then(|name| self.config.listeners.get(name));
        if listener.is_some_and(|listener| !listener.protocols.contains(&Protocol::Http1)) {
            let what = "a WebSocket begins in HTTP/1.1, which this listener does not speak";
            self.error(format_args!("{pointer}/match/listener"), what, "add `http1` to its `protocols`");
        }
        let options = websocket.options();
        let pointer = format!("{pointer}/websocket");
        self.within(&format!("{pointer}/first_message"), options.first_message, INSTANT, FIRST_MESSAGE_MAX);
        self.within(&format!("{pointer}/idle"), options.idle, IDLE_MIN, IDLE_MAX);
        for (index, origin) in options.origins.iter().enumerate() {
            if origin == "*" || !is_origin(origin) {
                let remedy = "write scheme://host or scheme://host:port, in lower case and without a path";
                let what = format!("«{origin}» is not what a browser sends as an origin");
                self.error(format_args!("{pointer}/origins/{index}"), what, remedy);
            }
        }
    }
}
