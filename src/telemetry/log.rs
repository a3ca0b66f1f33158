//! The process log: JSON lines on stderr. Pingora logs through the `log` crate, which is bridged.

use crate::config::source::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// Starts the log. A second call changes nothing.
pub fn start(level: Level) {
    let level = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    // Pingora logs a line at ERROR for every client that sends nonsense or goes away: an attacker could
    // fill a disk with it, and the access log has the request already.
    let quiet = if level >= LevelFilter::DEBUG { level } else { LevelFilter::OFF };
    let targets = ["pingora_proxy", "pingora_core"].into_iter().map(|target| (target, quiet));
    let filter = Targets::new().with_default(level).with_targets(targets);
    let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(std::io::stderr);
    let started = tracing_subscriber::registry().with(filter).with(lines).try_init();
    if started.is_err() {
        tracing::debug!("the log was started before");
    }
}
