//! One JSON line a request.

use super::{
    lines::{self, Lines},
    log_file::LogFile,
};
use crate::config::source::AccessLogTarget;
use prometheus::IntCounter;
use serde::Serialize;
use std::{
    io::{self, Write},
    path::Path,
    time::Duration,
};

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

/// Where lines go; nowhere where it is off.
pub struct AccessLog(Option<Lines>);

impl AccessLog {
    /// Opens the target and starts its writer.
    ///
    /// # Errors
    /// Where the file cannot be opened or the thread cannot start.
    pub fn start(target: &AccessLogTarget, base_dir: &Path, dropped: IntCounter) -> io::Result<Self> {
        let output: Box<dyn Write + Send> = match target {
            AccessLogTarget::Off => return Ok(Self(None)),
            AccessLogTarget::Stdout => Box::new(lines::unlocked(io::stdout())?),
            AccessLogTarget::Stderr => Box::new(lines::unlocked(io::stderr())?),
            AccessLogTarget::File(path) => Box::new(LogFile::open(base_dir.join(path))?),
        };
        Lines::start("access-log", output, dropped).map(|lines| Self(Some(lines)))
    }

    /// Whether lines go anywhere.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Adds a line.
    pub fn write(&self, entry: &Entry<'_>) {
        let Some(lines) = &self.0 else { return };
        let mut line = Vec::with_capacity(512);
        if serde_json::to_writer(&mut line, entry).is_err() {
            return;
        }
        line.push(b'\n');
        lines.append(&line);
    }

    /// Writes what is left and ends the writer, within `wait`.
    pub fn close(&self, wait: Duration) {
        if let Some(lines) = &self.0 {
            lines.close(wait);
        }
    }
}
