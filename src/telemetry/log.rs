//! The process log: JSON lines on stderr. Pingora logs through the `log` crate, which is bridged.

use super::{
    lines::{self, Lines},
    seldom::Seldom,
    timestamp::Timestamp,
};
use crate::config::source::Level;
use prometheus::IntCounter;
use std::{
    io, panic, process,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// The subscriber is the process's, and so is the log behind it.
static LOG: OnceLock<Log> = OnceLock::new();

struct Log {
    lines: Arc<Lines>,
    dropped: IntCounter,
}

/// Starts the log, whose lines name this process and its `node`. What comes from `told_elsewhere` is left out. A second
/// call changes nothing.
///
/// # Errors
/// Where the process may start no more threads or open no more files.
pub fn start(level: Level, node: &str, told_elsewhere: &[&str]) -> io::Result<()> {
    let level = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    let Some(log) = Log::start()? else { return Ok(()) };
    // Pingora logs a line at ERROR for every client that sends nonsense or goes away, and h2 at WARN: an attacker
    // could fill a disk with it, and the access log has the request already.
    let quiet = if level >= LevelFilter::DEBUG { level } else { LevelFilter::OFF };
    let quiet = ["pingora_proxy", "pingora_core", "h2"].into_iter().map(|target| (target, quiet));
    let targets = quiet.chain(told_elsewhere.iter().map(|target| (*target, LevelFilter::OFF)));
    let filter = Targets::new().with_default(level).with_targets(targets);
    let writer = Writer { lines: Arc::clone(&log.lines), whose: Arc::from(whose(node)?) };
    let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).without_time();
    let lines = lines.with_writer(move || writer.clone());
    let seldom = Seldom::new(log.dropped.clone());
    let started = tracing_subscriber::registry().with(filter).with(seldom).with(lines).try_init();
    if started.is_err() {
        tracing::debug!("the log was started before");
    }
    // The usual hook writes to stderr itself, and would wait there for a reader.
    panic::set_hook(Box::new(|panic| tracing::error!(%panic, "panicked")));
    Ok(())
}

/// Lines that nobody will read: the reader was too slow, or there were too many of one kind.
#[must_use]
pub fn lines_dropped() -> Option<IntCounter> {
    LOG.get().map(|log| log.dropped.clone())
}

/// Writes what is left, within `wait`. What is logged afterwards is lost.
pub fn close(wait: Duration) {
    if let Some(log) = LOG.get() {
        log.lines.close(wait);
    }
}

impl Log {
    /// The process's log, the first time.
    fn start() -> io::Result<Option<&'static Self>> {
        let dropped = IntCounter::new("portcullis_log_lines_dropped_total", "Lines of the process log that were lost.");
        let dropped = dropped.map_err(io::Error::other)?;
        let lines = Arc::new(Lines::start("log", lines::unlocked(io::stderr())?, dropped.clone())?);
        Ok(LOG.set(Self { lines, dropped }).ok().and_then(|()| LOG.get()))
    }
}

/// The members by which lines of several processes are told apart.
fn whose(node: &str) -> io::Result<String> {
    Ok(format!("\"node\":{},\"pid\":{}", serde_json::to_string(node)?, process::id()))
}

/// Takes each event as one write, which is how the formatter writes, and puts time and process ahead of its members.
#[derive(Clone)]
struct Writer {
    lines: Arc<Lines>,
    whose: Arc<str>,
}

impl io::Write for Writer {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match line.strip_prefix(b"{") {
            Some(members) => {
                let mut whole = Vec::with_capacity(line.len() + self.whose.len() + 40);
                write!(whole, "{{\"time\":\"{}\",{},", Timestamp::now(), self.whose)?;
                whole.extend_from_slice(members);
                self.lines.append(&whole);
            }
            None => self.lines.append(line),
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
