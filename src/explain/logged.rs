//! A request that was, out of the access log.

use super::{escape::escaped, explanation::Place};
use crate::config::Loaded;
use filters::api::Reason;
use serde::{Deserialize, Serialize};
use std::{
    fmt::{self, Display, Formatter},
    io::{self, BufRead},
};

/// Longer lines are none that the gateway has written: a head has 1 MiB at the most, of which a line has the path.
const LINE_BYTES_MAX: usize = 4 << 20;

/// A line of the access log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// When the head had arrived, Unix milliseconds.
    pub time_ms: i64,
    /// The request's id.
    pub request_id: String,
    /// The listener's name.
    pub listener: String,
    /// The route's name; `-` where none was found.
    pub route: String,
    /// The client's address.
    pub client_ip: String,
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// The status that was sent; 0 where the client had gone.
    pub status: u16,
    /// Why the request was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The filter that stopped it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_by: Option<String>,
    /// The command's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_type: Option<String>,
    /// The filters' time, in microseconds.
    #[serde(default)]
    pub chain_us: u64,
    /// The backend's time, in microseconds.
    #[serde(default)]
    pub backend_us: u64,
    /// The whole time, in microseconds.
    #[serde(default)]
    pub total_us: u64,
}

/// What a log says of an id.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// The newest line that has it.
    pub last: Option<Line>,
    /// How many have it: ids that clients bring need not differ.
    pub count: usize,
}

impl Search {
    /// Looks for an id in a log, line by line: memory is bounded, however long the log is.
    ///
    /// # Errors
    /// Where the log cannot be read.
    pub fn read(&mut self, log: &mut dyn BufRead, id: &str) -> io::Result<()> {
        let mut line = Vec::new();
        // Most lines are of others: those are not parsed.
        let quoted = serde_json::to_string(id).map_err(io::Error::other)?;
        while read_line(log, &mut line)? {
            let Ok(text) = str::from_utf8(&line) else { continue };
            if !text.contains(&quoted) {
                continue;
            }
            if let Ok(found) = serde_json::from_str::<Line>(text)
                && found.request_id == id
            {
                self.last = Some(found);
                self.count += 1;
            }
        }
        Ok(())
    }
}

/// The next line, or nothing of one that is too long. False at the end.
fn read_line(log: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let mut is_too_long = false;
    let mut is_end = true;
    loop {
        let piece = match log.fill_buf() {
            Ok(piece) => piece,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if piece.is_empty() {
            return Ok(!is_end);
        }
        is_end = false;
        let (taken, is_whole) = match piece.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (piece.len(), false),
        };
        is_too_long |= line.len() + taken > LINE_BYTES_MAX;
        if is_too_long {
            line.clear();
        } else {
            line.extend_from_slice(piece.get(..taken).unwrap_or_default());
        }
        log.consume(taken);
        if is_whole {
            return Ok(true);
        }
    }
}

/// What happened to a request, in the words of an explanation.
#[derive(Debug, Clone, Serialize)]
pub struct Story {
    /// The line.
    #[serde(flatten)]
    pub line: Line,
    /// How many lines have the id.
    pub lines: usize,
    /// Where its route is configured now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route_at: Option<Place>,
    /// Where the filter is configured now that stopped it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_at: Option<Place>,
    /// What its reason means.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meaning: Option<&'static str>,
    /// What the caller can do.
    pub advice: &'static str,
}

impl Story {
    /// Tells a line beside the configuration as it is now.
    #[must_use]
    pub fn new(line: Line, lines: usize, loaded: &Loaded) -> Self {
        let at = |pointer: &str| Place { file: loaded.file().to_owned(), line: loaded.place(pointer).line };
        let index = loaded.config.routes.iter().position(|route| route.name == line.route);
        let stopped_at = index.zip(line.stopped_by.as_ref()).and_then(|(index, filter)| {
            let placed = loaded.filters(index);
            placed.iter().find(|placed| placed.filter.name() == filter).map(|placed| at(&placed.pointer(index)))
        });
        let reason = line.reason.as_ref().and_then(|word| Reason::ALL.iter().find(|known| known.as_str() == word));
        Self {
            lines,
            route_at: index.map(|index| at(&format!("/routes/{index}/name"))),
            stopped_at,
            meaning: reason.map(|reason| reason.title()),
            advice: reason.map_or_else(|| without_reason(line.status), |reason| advice(*reason)),
            line,
        }
    }
}

fn without_reason(status: u16) -> &'static str {
    match status {
        0 => "nothing: the client had gone before it had an answer",
        500..=599 => "nothing here: the backend has answered so",
        _ => "nothing has to be done: the request was not refused",
    }
}

/// What the caller can do about a refusal.
fn advice(reason: Reason) -> &'static str {
    match reason {
        Reason::EnvelopeInvalid
        | Reason::PayloadHashMismatch
        | Reason::PayloadInvalid
        | Reason::BodyInvalid
        | Reason::MediaTypeUnsupported
        | Reason::RequestMalformed
        | Reason::MethodNotAllowed
        | Reason::NotServed => "correct the request: sent again as it is, it is refused again",
        Reason::MessageTooLarge | Reason::BodyTooLarge => "send less at once",
        Reason::ProtocolVersionUnsupported | Reason::MessageTypeUnknown | Reason::RouteUnknown => {
            "ask for what is served: the client may be newer or older than the configuration"
        }
        Reason::SessionUnknown | Reason::SessionRevoked => "sign in again",
        Reason::SignatureInvalid => "sign with the key of the session, over the fields as they are sent",
        Reason::RequestStale => "set the clock, and send the request anew",
        Reason::RequestReplayed => "send it with a new request_id, unless it was sent twice by mistake",
        Reason::BudgetExhausted => "wait for as long as `Retry-After` says",
        Reason::StreamsExhausted => "close other streams of the device first",
        Reason::ConsumerTooSlow => "read faster, and resume after the last event",
        Reason::AddressForbidden | Reason::OriginForbidden => "call from where it is allowed",
        Reason::RequestTimeout => "send the request faster, or in parts",
        Reason::BackendUnavailable
        | Reason::BackendTimeout
        | Reason::ReplayStoreUnavailable
        | Reason::SessionLookupUnavailable
        | Reason::BudgetStoreUnavailable
        | Reason::GatewayShuttingDown => "send it again later, with growing pauses",
        Reason::RouteChanged => "subscribe again, after the last event: what is served has changed",
        Reason::Internal => "report it with the request id: the gateway's own log says more",
    }
}

impl Display for Story {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Line { method, path, client_ip, listener, route, status, request_id, time_ms, .. } = &self.line;
        let [method, path, client_ip, listener, route, id] =
            [method, path, client_ip, listener, route, request_id].map(|text| escaped(text));
        writeln!(f, "{method} {path}  from {client_ip}  at {time_ms} ms")?;
        if self.lines > 1 {
            writeln!(f, "note      {} requests have this id; this is the newest", self.lines)?;
        }
        writeln!(f, "id        {id}")?;
        writeln!(f, "listener  {listener}")?;
        match &self.route_at {
            Some(at) => writeln!(f, "route     {route:<30}  {at}")?,
            None if route == "-" => writeln!(f, "route     none")?,
            None => writeln!(f, "route     {route}, which the configuration has no more")?,
        }
        if let Some(message_type) = &self.line.message_type {
            writeln!(f, "command   {}", escaped(message_type))?;
        }
        if let Some(filter) = &self.line.stopped_by {
            let filter = escaped(filter);
            match &self.stopped_at {
                Some(at) => writeln!(f, "stopped   by {filter:<27}  {at}")?,
                None => writeln!(f, "stopped   by {filter}")?,
            }
        }
        if let Some(reason) = &self.line.reason {
            writeln!(f, "refused   {}: {}", escaped(reason), self.meaning.unwrap_or("a reason of another version"))?;
        }
        writeln!(
            f,
            "status    {}",
            if *status == 0 { "none: the client had gone".to_owned() } else { status.to_string() }
        )?;
        let Line { chain_us, backend_us, total_us, .. } = self.line;
        writeln!(f, "took      {total_us} µs: filters {chain_us} µs, backend {backend_us} µs")?;
        writeln!(f, "advice    {}", self.advice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &str, time_ms: i64) -> String {
        format!(
            "{{\"event\":\"access\",\"time_ms\":{time_ms},\"request_id\":\"{id}\",\"listener\":\"public\",\"route\":\"-\",\
             \"client_ip\":\"192.0.2.1\",\"method\":\"GET\",\"path\":\"/\",\"protocol\":\"HTTP/1.1\",\"status\":404,\
             \"bytes_in\":0,\"bytes_out\":0,\"chain_us\":0,\"backend_us\":0,\"total_us\":7}}"
        )
    }

    #[test]
    fn the_newest_line_of_an_id_is_found_among_whatever_else_there_is() {
        let long = format!("{{\"request_id\":\"a\",\"path\":\"{}\"}}", "x".repeat(LINE_BYTES_MAX));
        let lines = [line("a", 1), long, "no JSON \"a\"".to_owned(), line("ab", 2), line("a", 3), "\"a\"".to_owned()];
        let mut log = lines.join("\n").into_bytes();
        log.extend_from_slice(b"\n\xff\xfe \"a\"\n");
        log.extend_from_slice(line("b", 4).as_bytes());
        for (id, expected) in [("a", Some((3, 2))), ("ab", Some((2, 1))), ("b", Some((4, 1))), ("c", None), ("", None)]
        {
            let mut search = Search::default();
            // Pieces that end within lines.
            search.read(&mut io::BufReader::with_capacity(7, log.as_slice()), id).unwrap();
            let found = search.last.map(|line| (line.time_ms, search.count));
            assert_eq!(found, expected, "{id}");
        }
    }

    #[test]
    fn every_reason_has_advice() {
        for reason in Reason::ALL {
            assert!(!advice(*reason).is_empty(), "{reason:?}");
        }
    }
}
