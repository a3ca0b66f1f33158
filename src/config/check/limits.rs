use super::{
    super::{
        source::{ReloadStreams, Store},
        tree::join,
    },
    Checks,
};
use filters::api::units::{Duration, Size};

/// Far above anything sensible; beyond it a limit limits nothing.
const BODY_MAX: Size = Size::from_bytes(1 << 30);
const HEAD_MIN: Size = Size::from_bytes(1 << 10);
const HEAD_MAX: Size = Size::from_bytes(1 << 20);
const INSTANT: Duration = Duration::from_millis(1);
/// Longer, and a device that has just signed in could be taken for one that never did.
const MINUTE: Duration = Duration::from_secs(60);
const TEN_MINUTES: Duration = Duration::from_secs(600);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

impl Checks<'_> {
    pub(super) fn limits(&mut self) {
        let config = self.config;
        self.within("/node/threads", config.node.threads, 0, 1_024);
        self.connections();
        for (name, listener) in &config.listeners {
            let pointer = format!("{}/limits", join("/listeners", name));
            self.within(&format!("{pointer}/head"), listener.limits.head, HEAD_MIN, HEAD_MAX);
            self.within(&format!("{pointer}/headers"), listener.limits.headers, 1, 10_000);
            self.within(&format!("{pointer}/body"), listener.limits.body, Size::from_bytes(1), BODY_MAX);
            self.within(&format!("{pointer}/streams"), listener.limits.streams, 1, 10_000);
        }
        self.store_limits();
        self.upstream_limits();
        for (name, sessions) in &config.sessions {
            let pointer = join("/sessions", name);
            self.within(&format!("{pointer}/timeout"), sessions.timeout, INSTANT, HOUR);
            if let Some(cache) = &sessions.cache {
                self.within(&format!("{pointer}/cache/ttl"), cache.ttl, INSTANT, HOUR);
                self.within(&format!("{pointer}/cache/sessions"), cache.sessions, 1, 10_000_000);
            }
            if let Some(unknown_for) = sessions.unknown_for {
                self.within(&format!("{pointer}/unknown_for"), unknown_for, INSTANT, MINUTE);
            }
        }
        self.within("/reload/history", config.reload.history, 0, 1_000);
        if let ReloadStreams::Drain(window) = config.reload.streams {
            self.within("/reload/streams/drain", window, INSTANT, HOUR);
        }
        self.within("/drain/delay", config.drain.delay, Duration::from_millis(0), HOUR);
        // Whoever asks for an upgrade waits for its end.
        self.within("/upgrade/deadline", config.upgrade.deadline, INSTANT, TEN_MINUTES);
        self.within("/drain/deadline", config.drain.deadline, Duration::from_millis(0), DAY);
    }

    fn connections(&mut self) {
        let connections = &self.config.connections;
        self.within("/connections/max", connections.max, 1, 10_000_000);
        self.within("/connections/per_ip", connections.per_ip, 1, 10_000_000);
        self.within("/connections/head_deadline", connections.head_deadline, INSTANT, HOUR);
        self.within("/connections/body_idle", connections.body_idle, INSTANT, HOUR);
        self.within("/connections/body_deadline", connections.body_deadline, INSTANT, DAY);
        self.within("/connections/keepalive", connections.keepalive, INSTANT, DAY);
        self.within("/connections/write", connections.write, INSTANT, HOUR);
    }

    fn store_limits(&mut self) {
        for (name, store) in &self.config.stores {
            let pointer = join("/stores", name);
            match store {
                Store::Memory(memory) => {
                    self.within(&format!("{pointer}/memory/replay_ids"), memory.replay_ids, 1, 1_000_000_000);
                    self.within(&format!("{pointer}/memory/budget_keys"), memory.budget_keys, 1, 1_000_000_000);
                }
                Store::Redis(redis) => {
                    let pointer = format!("{pointer}/redis");
                    self.within(&format!("{pointer}/command_timeout"), redis.command_timeout, INSTANT, MINUTE);
                    self.within(&format!("{pointer}/connect_timeout"), redis.connect_timeout, INSTANT, MINUTE);
                    self.within(&format!("{pointer}/breaker/failures"), redis.breaker.failures, 1, 1_000_000);
                    self.within(&format!("{pointer}/breaker/open_for"), redis.breaker.open_for, INSTANT, HOUR);
                    self.within(&format!("{pointer}/in_flight_max"), redis.in_flight_max, 1, 1_000_000);
                }
            }
        }
    }

    fn upstream_limits(&mut self) {
        for (name, upstream) in &self.config.upstreams {
            let pointer = join("/upstreams", name);
            let (timeouts, pool) = (&upstream.timeouts, &upstream.pool);
            self.within(&format!("{pointer}/timeouts/connect"), timeouts.connect, INSTANT, HOUR);
            self.within(&format!("{pointer}/timeouts/read"), timeouts.read, INSTANT, DAY);
            self.within(&format!("{pointer}/timeouts/write"), timeouts.write, INSTANT, DAY);
            self.within(&format!("{pointer}/timeouts/request"), timeouts.request, INSTANT, DAY);
            self.within(&format!("{pointer}/pool/idle"), pool.idle, 0, 1_000_000);
            self.within(&format!("{pointer}/pool/idle_timeout"), pool.idle_timeout, INSTANT, DAY);
            self.within(&format!("{pointer}/pool/answer_max"), pool.answer_max, Size::from_bytes(1), BODY_MAX);
        }
    }

    pub(super) fn within<T: PartialOrd + Copy + std::fmt::Display>(
        &mut self,
        pointer: &str,
        value: T,
        least: T,
        most: T,
    ) {
        if value < least || value > most {
            let field = pointer.rsplit('/').next().unwrap_or_default();
            self.error(
                pointer,
                format!("`{field}` cannot be «{value}»"),
                format!("write something from {least} to {most}"),
            );
        }
    }
}
