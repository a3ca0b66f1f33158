//! One JSON line a request.

use super::{
    lines::{self, Lines},
    log_file::LogFile,
    timestamp::Timestamp,
};
use crate::config::source::AccessLogTarget;
use prometheus::IntCounter;
use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use std::{
    borrow::Cow,
    fmt::Write as _,
    io::{self, Write},
    net::IpAddr,
    path::Path,
    process,
    time::Duration,
};

/// What most lines have room in.
const LINE_BYTES: usize = 768;

/// What a line says of who asked what.
#[derive(Debug, Serialize)]
pub struct Head<'a> {
    /// When the head had arrived.
    pub time: Timestamp,
    /// The request's id.
    pub request_id: &'a str,
    /// The listener's name; `-` where it has none any more.
    pub listener: &'a str,
    /// The route's name; `-` where none was found.
    pub route: &'a str,
    /// The client's address.
    pub client_ip: IpAddr,
    /// The host that was asked, as the client wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<Cow<'a, str>>,
    /// The method; `-` where none could be read.
    pub method: &'a str,
    /// The path, without the query, which may hold secrets; `-` where none could be read.
    pub path: &'a str,
    /// `HTTP/1.0`, `HTTP/1.1` or `HTTP/2.0`.
    pub protocol: &'a str,
    /// What the client says that it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<Cow<'a, str>>,
    /// The trace (W3C Trace Context): that of the client, or of a command the one that was begun for its backend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<&'a str>,
}

impl<'a> Head<'a> {
    /// Of a request whose head could not be read, or was not taken.
    #[must_use]
    pub fn unread(time_ms: i64, request_id: &'a str, listener: &'a str, client_ip: IpAddr) -> Self {
        Self {
            time: Timestamp(time_ms),
            request_id,
            listener,
            route: "-",
            client_ip,
            host: None,
            method: "-",
            path: "-",
            protocol: "HTTP/1.1",
            user_agent: None,
            trace_id: None,
        }
    }
}

/// What a line says of what was found out on the request's way.
#[derive(Debug, Default, Serialize)]
pub struct Findings<'a> {
    /// The filter that stopped it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_by: Option<&'static str>,
    /// What failed behind the gateway, in one word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<&'static str>,
    /// The same in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault_detail: Option<&'a str>,
    /// The command's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_type: Option<&'a str>,
    /// The client's own id of the request: the envelope's, or else what it sent as `X-Request-Id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_request_id: Option<&'a str>,
    /// The envelope's trace id; logged, never trusted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_trace_id: Option<&'a str>,
    /// The device session that a command names, as [`session_hash`] has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Whose session that is, as its lookup says. Proven only where the signature held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<&'a str>,
}

/// A device session as logs name it: the first 16 hex digits of its id's SHA-256. Always the same for one session, and
/// no id that could be used.
#[must_use]
pub fn session_hash(device_session_id: &str) -> String {
    let digest = Sha256::digest(device_session_id.as_bytes());
    digest.iter().take(8).fold(String::with_capacity(16), |mut text, byte| {
        // Nothing is written to a string that could fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What a line says of where a request was sent.
#[derive(Debug, Serialize)]
pub struct Sent<'a> {
    /// The upstream.
    pub upstream: &'a str,
    /// The endpoint that it was sent to last.
    pub endpoint: &'a str,
    /// How often it was tried to send it.
    pub tries: u8,
    /// Why no answer came, where none did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<&'static str>,
}

/// What a line says of the request's end.
#[derive(Debug, Default, Serialize)]
pub struct Outcome {
    /// The status that was sent; 0 where the client had gone.
    pub status: u16,
    /// Why the request was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// Body bytes that came.
    pub bytes_in: u64,
    /// Body bytes that were sent.
    pub bytes_out: u64,
    /// The filters' time.
    #[serde(rename = "chain_us", serialize_with = "micros")]
    pub chain: Duration,
    /// The backend's time.
    #[serde(rename = "backend_us", serialize_with = "micros")]
    pub backend: Duration,
    /// From the head's end to the answer's end.
    #[serde(rename = "total_us", serialize_with = "micros")]
    pub total: Duration,
}

fn micros<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}

/// The fields of a line as they are written, for a request that outlives what they were read from.
#[derive(Default)]
pub struct Kept(Box<[u8]>);

/// A line that is being written: a JSON object whose end is still to come.
pub struct Line(Vec<u8>);

impl Line {
    /// Adds the fields of a struct.
    pub fn add(&mut self, fields: &impl Serialize) {
        let begin = self.0.len();
        let is_written = serde_json::to_writer(&mut self.0, fields).is_ok();
        match self.0.get_mut(begin..) {
            Some([first @ b'{', _, .., b'}']) if is_written => {
                *first = b',';
                self.0.pop();
            }
            _ => self.0.truncate(begin),
        }
    }

    /// Adds fields that were kept.
    pub fn add_kept(&mut self, fields: &Kept) {
        self.0.extend_from_slice(&fields.0);
    }
}

/// What every line of a process begins with.
#[derive(Serialize)]
struct Beginning<'a> {
    event: &'static str,
    node: &'a str,
    pid: u32,
}

/// Where lines go; nowhere where it is off.
pub struct AccessLog {
    lines: Option<Lines>,
    /// An object without its end.
    beginning: Vec<u8>,
}

impl AccessLog {
    /// Opens the target and starts its writer. Each line names this process and its `node`.
    ///
    /// # Errors
    /// Where the file cannot be opened or the thread cannot start.
    pub fn start(target: &AccessLogTarget, base_dir: &Path, node: &str, dropped: IntCounter) -> io::Result<Self> {
        let output: Box<dyn Write + Send> = match target {
            AccessLogTarget::Off => return Ok(Self { lines: None, beginning: Vec::new() }),
            AccessLogTarget::Stdout => Box::new(lines::unlocked(io::stdout())?),
            AccessLogTarget::Stderr => Box::new(lines::unlocked(io::stderr())?),
            AccessLogTarget::File(path) => Box::new(LogFile::open(base_dir.join(path))?),
        };
        let mut beginning = serde_json::to_vec(&Beginning { event: "access", node, pid: process::id() })?;
        beginning.pop();
        Ok(Self { lines: Some(Lines::start("access-log", output, dropped)?), beginning })
    }

    /// Whether lines go anywhere.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.lines.is_some()
    }

    /// Begins a line.
    #[must_use]
    pub fn begin(&self) -> Line {
        let mut line = Vec::with_capacity(LINE_BYTES);
        line.extend_from_slice(&self.beginning);
        Line(line)
    }

    /// Keeps the fields of a struct for a line that is written later; nothing where it is off.
    #[must_use]
    pub fn keep(&self, fields: &impl Serialize) -> Kept {
        if !self.is_on() {
            return Kept::default();
        }
        let mut line = Line(Vec::new());
        line.add(fields);
        Kept(line.0.into())
    }

    /// Ends a line and adds it to the log.
    pub fn write(&self, mut line: Line) {
        let Some(lines) = &self.lines else { return };
        line.0.extend_from_slice(b"}\n");
        lines.append(&line.0);
    }

    /// Writes what is left and ends the writer, within `wait`.
    pub fn close(&self, wait: Duration) {
        if let Some(lines) = &self.lines {
            lines.close(wait);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_several_structs_are_one_object() {
        let mut line = Line(br#"{"event":"access""#.to_vec());
        line.add(&Findings::default());
        line.add(&Findings { message_type: Some("a.b"), client_trace_id: Some("\"}"), ..Findings::default() });
        line.add_kept(&Kept::default());
        line.add(&"no struct");
        line.add(&serde_json::json!({ "n": 1 }));
        assert_eq!(
            String::from_utf8(line.0).unwrap(),
            r#"{"event":"access","message_type":"a.b","client_trace_id":"\"}","n":1"#
        );
    }

    #[test]
    fn a_session_has_one_name_in_logs() {
        // printf %s session-1 | sha256sum | cut -c1-16
        assert_eq!(session_hash("session-1"), "84097828fc31a8c8");
    }
}
