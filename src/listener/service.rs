//! All listeners on one Pingora service.

use super::{
    guard::Guard,
    rules::{Bindings, Endpoint},
};
use pingora_core::{
    listeners::{L4BufferSettings, ListenerConfig, TcpSocketOptions},
    protocols::TcpKeepalive,
    services::listening::Service,
};
use std::time::Duration;

/// A peer that vanished without a word (power, NAT) is noticed within a minute and a half: the kernel asks one that was
/// silent for half of it, and gives up what was left unacknowledged for as long. While anything is, a heartbeat for
/// example, it asks no more.
const SILENT: Duration = Duration::from_secs(45);
const UNACKNOWLEDGED: Duration = Duration::from_secs(45);
const ASKED_EVERY: Duration = Duration::from_secs(15);
const ASKED_TIMES: usize = 3;
/// The kernel counts milliseconds in 31 bits.
const KERNEL_MAX: Duration = Duration::from_millis((1 << 31) - 1);
/// TLS reads record by record; a record has 16 KiB and a little.
const TLS_READ_BUFFER: usize = 17 << 10;
/// Pingora's own default: about one segment, for TLS to put its records together. The guard gathers what is not encrypted.
const TLS_WRITE_BUFFER: usize = 1460;

/// A service that accepts on every endpoint of `bindings`. Started with the table of [`super::take_over`], it binds
/// nothing itself.
pub fn service<P>(guard: Guard<P>, bindings: &Bindings) -> Service<Guard<P>> {
    let keepalive = keepalive(guard.rules().write);
    let mut service = Service::new("listeners".to_owned(), guard);
    for endpoint in bindings.endpoints() {
        service.add_listener(config(endpoint, &keepalive));
    }
    service
}

/// How the kernel watches a peer. It takes one that reads nothing for one that vanished, so `write`, which is how long
/// a client may do so, is the least.
fn keepalive(write: Duration) -> TcpKeepalive {
    TcpKeepalive {
        idle: SILENT,
        interval: ASKED_EVERY,
        count: ASKED_TIMES,
        #[cfg(target_os = "linux")]
        user_timeout: UNACKNOWLEDGED.max(write).min(KERNEL_MAX),
    }
}

fn config(endpoint: &Endpoint, keepalive: &TcpKeepalive) -> ListenerConfig {
    let mut options = TcpSocketOptions::default();
    options.tcp_keepalive = Some(keepalive.clone());
    // Without TLS the guard and Pingora's body reader bring buffers of their own, and the 64 KiB that Pingora puts
    // in front would be copied through and held by every idle connection.
    let (read, write) = if endpoint.rules.tls.is_some() { (TLS_READ_BUFFER, TLS_WRITE_BUFFER) } else { (0, 0) };
    ListenerConfig::tcp(endpoint.address.to_string())
        .tcp_socket_options(options)
        .l4_buffer(L4BufferSettings::new(read, write))
}
