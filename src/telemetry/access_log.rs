//! One JSON line a request.

use super::{
    lines::{self, Lines},
    log_file::LogFile,
};
use crate::config::source::AccessLogTarget;
use prometheus::IntCounter;
use serde::{Serialize, Serializer};
use std::{
    io::{self, Write},
    net::IpAddr,
    path::Path,
    time::Duration,
};

/// What a line says of who asked what.
#[derive(Debug, Serialize)]
pub struct Head<'a> {
    /// When the head had arrived, Unix milliseconds.
    pub time_ms: i64,
    /// The request's id.
    pub request_id: &'a str,
    /// The listener's name; `-` where it has none any more.
    pub listener: &'a str,
    /// The route's name; `-` where none was found.
    pub route: &'a str,
    /// The client's address.
    pub client_ip: IpAddr,
    /// The method; `-` where none could be read.
    pub method: &'a str,
    /// The path, without the query, which may hold secrets; `-` where none could be read.
    pub path: &'a str,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub protocol: &'a str,
}

/// What a line says of what was found out on the request's way.
#[derive(Debug, Default, Serialize)]
pub struct Findings<'a> {
    /// The filter that stopped it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_by: Option<&'static str>,
    /// The command's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_type: Option<&'a str>,
    /// The client's trace id; logged, never trusted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<&'a str>,
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
    /// A line that says no more than that it is one of the access log.
    #[must_use]
    pub fn begin() -> Self {
        let mut line = Vec::with_capacity(512);
        line.extend_from_slice(b"{\"event\":\"access\"");
        Self(line)
    }

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
        let Some(lines) = &self.0 else { return };
        line.0.extend_from_slice(b"}\n");
        lines.append(&line.0);
    }

    /// Writes what is left and ends the writer, within `wait`.
    pub fn close(&self, wait: Duration) {
        if let Some(lines) = &self.0 {
            lines.close(wait);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_several_structs_are_one_object() {
        let mut line = Line::begin();
        line.add(&Findings::default());
        line.add(&Findings { message_type: Some("a.b"), trace_id: Some("\"}"), ..Findings::default() });
        line.add_kept(&Kept::default());
        line.add(&"no struct");
        line.add(&serde_json::json!({ "n": 1 }));
        assert_eq!(
            String::from_utf8(line.0).unwrap(),
            r#"{"event":"access","message_type":"a.b","trace_id":"\"}","n":1"#
        );
    }
}
