//! One JSON line a request, written by a thread of its own.
//!
//! A request only appends its line to a buffer in memory, so a slow disk or a reader that has stopped reading
//! never holds a request up. The buffer is bounded: past its end lines are dropped and counted.

use crate::config::source::AccessLogTarget;
use prometheus::IntCounter;
use serde::Serialize;
use std::{
    fs::OpenOptions,
    io::{self, Write},
    mem,
    path::Path,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::Duration,
};

const BUFFER_BYTES_MAX: usize = 4 << 20;
/// Lines are gathered for so long before they are written: one wake-up and one write for many requests.
const GATHER: Duration = Duration::from_millis(20);

/// What a line says.
#[derive(Debug, Serialize)]
pub struct Entry<'a> {
    /// Always `access`.
    pub event: &'static str,
    /// When the head had arrived, Unix milliseconds.
    pub time_ms: i64,
    /// The request's id.
    pub request_id: &'a str,
    /// The listener's name.
    pub listener: &'a str,
    /// The route's name; `-` where none was found.
    pub route: &'a str,
    /// The client's address.
    pub client_ip: std::net::IpAddr,
    /// The method.
    pub method: &'a str,
    /// The path, without the query, which may hold secrets.
    pub path: &'a str,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub protocol: &'a str,
    /// The status that was sent; 0 where the client had gone.
    pub status: u16,
    /// Why the request was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// The filter that stopped it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_by: Option<&'static str>,
    /// The command's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_type: Option<&'a str>,
    /// The client's trace id; logged, never trusted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<&'a str>,
    /// Body bytes that came.
    pub bytes_in: u64,
    /// Body bytes that were sent.
    pub bytes_out: u64,
    /// The filters' time, in microseconds.
    pub chain_us: u64,
    /// The backend's time, in microseconds.
    pub backend_us: u64,
    /// From the head's end to the answer's end, in microseconds.
    pub total_us: u64,
}

/// Where lines go.
pub struct AccessLog {
    shared: Option<Arc<Shared>>,
    writer: Mutex<Option<thread::JoinHandle<()>>>,
}

struct Shared {
    state: Mutex<State>,
    filled: Condvar,
    dropped: IntCounter,
}

#[derive(Default)]
struct State {
    lines: Vec<u8>,
    is_closed: bool,
}

impl AccessLog {
    /// Opens the target and starts its writer.
    ///
    /// # Errors
    /// Where the file cannot be opened or the thread cannot start.
    pub fn start(target: &AccessLogTarget, base_dir: &Path, dropped: IntCounter) -> io::Result<Self> {
        let output: Box<dyn Write + Send> = match target {
            AccessLogTarget::Off => return Ok(Self { shared: None, writer: Mutex::default() }),
            AccessLogTarget::Stdout => Box::new(io::stdout()),
            AccessLogTarget::Stderr => Box::new(io::stderr()),
            AccessLogTarget::File(path) => {
                Box::new(OpenOptions::new().create(true).append(true).open(base_dir.join(path))?)
            }
        };
        let shared = Arc::new(Shared { state: Mutex::default(), filled: Condvar::new(), dropped });
        let writer = {
            let shared = Arc::clone(&shared);
            thread::Builder::new().name("access-log".to_owned()).spawn(move || shared.write_to(output))?
        };
        Ok(Self { shared: Some(shared), writer: Mutex::new(Some(writer)) })
    }

    /// Whether lines go anywhere.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.shared.is_some()
    }

    /// Adds a line.
    pub fn write(&self, entry: &Entry<'_>) {
        let Some(shared) = &self.shared else { return };
        let mut line = Vec::with_capacity(512);
        if serde_json::to_writer(&mut line, entry).is_err() {
            return;
        }
        line.push(b'\n');
        shared.append(&line);
    }

    /// Writes what is left and ends the writer, within `wait`.
    pub fn close(&self, wait: Duration) {
        let Some(shared) = &self.shared else { return };
        shared.lock().is_closed = true;
        shared.filled.notify_one();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let give_up = std::time::Instant::now() + wait;
        while let Some(writer) = &writer {
            if writer.is_finished() || std::time::Instant::now() >= give_up {
                break;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append(&self, line: &[u8]) {
        let mut state = self.lock();
        if state.lines.len() + line.len() > BUFFER_BYTES_MAX {
            self.dropped.inc();
            return;
        }
        let was_empty = state.lines.is_empty();
        state.lines.extend_from_slice(line);
        drop(state);
        if was_empty {
            self.filled.notify_one();
        }
    }

    fn write_to(&self, mut output: Box<dyn Write + Send>) {
        let mut lines = Vec::new();
        loop {
            let mut state = self.lock();
            while state.lines.is_empty() && !state.is_closed {
                state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if !state.is_closed {
                drop(state);
                thread::sleep(GATHER);
                state = self.lock();
            }
            mem::swap(&mut lines, &mut state.lines);
            let is_closed = state.is_closed;
            drop(state);
            // A target that has gone away takes no more lines; there is nobody left to tell.
            if output.write_all(&lines).and_then(|()| output.flush()).is_err() || is_closed {
                return;
            }
            lines.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_never_reads_costs_lines_not_time() {
        let dropped = IntCounter::new("dropped", "dropped").unwrap();
        let shared = Shared { state: Mutex::default(), filled: Condvar::new(), dropped: dropped.clone() };
        let line = vec![b'x'; 1 << 20];
        for _ in 0..6 {
            shared.append(&line);
        }
        assert_eq!((dropped.get(), shared.lock().lines.len()), (2, BUFFER_BYTES_MAX));
    }
}
