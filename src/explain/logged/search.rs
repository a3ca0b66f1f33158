//! The lines of an access log that have an id.

use serde::{Deserialize, Serialize};
use std::io::{self, BufRead};

/// Longer lines are none that the gateway has written: a head has 1 MiB at the most, of which a line has the path.
const LINE_BYTES_MAX: usize = 4 << 20;

/// A line of the access log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// When the head had arrived, as RFC 3339 has it.
    pub time: String,
    /// The instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
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
    /// What failed behind the gateway, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// The same in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault_detail: Option<String>,
    /// The command's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_type: Option<String>,
    /// The client's own id of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_request_id: Option<String>,
    /// The trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// The device session, hashed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Whose session that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
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
    /// Looks for an id, the gateway's or the client's own, in a log, line by line: memory is bounded, however long the log is.
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
                && (found.request_id == id || found.client_request_id.as_deref() == Some(id))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &str, client_id: &str, second: u8) -> String {
        format!(
            "{{\"event\":\"access\",\"time\":\"2026-12-01T00:00:0{second}.000Z\",\"request_id\":\"{id}\",\"listener\":\"public\",\
             \"route\":\"-\",\"client_ip\":\"192.0.2.1\",\"method\":\"GET\",\"path\":\"/\",\"protocol\":\"HTTP/1.1\",\"status\":404,\
             \"client_request_id\":\"{client_id}\",\"bytes_in\":0,\"bytes_out\":0,\"chain_us\":0,\"backend_us\":0,\"total_us\":7}}"
        )
    }

    #[test]
    fn the_newest_line_of_an_id_is_found_among_whatever_else_there_is() {
        let long = format!("{{\"request_id\":\"a\",\"path\":\"{}\"}}", "x".repeat(LINE_BYTES_MAX));
        let a_and_b = [line("a", "own", 1), long, "no JSON \"a\"".to_owned(), line("ab", "-", 2), line("a", "-", 3)];
        let mut log = [&a_and_b[..], &["\"a\"".to_owned()]].concat().join("\n").into_bytes();
        log.extend_from_slice(b"\n\xff\xfe \"a\"\n");
        log.extend_from_slice(line("b", "-", 4).as_bytes());
        for (id, expected) in [
            ("a", Some(("2026-12-01T00:00:03.000Z", 2))),
            ("ab", Some(("2026-12-01T00:00:02.000Z", 1))),
            ("b", Some(("2026-12-01T00:00:04.000Z", 1))),
            ("own", Some(("2026-12-01T00:00:01.000Z", 1))),
            ("c", None),
            ("", None),
        ] {
            let mut search = Search::default();
            // Pieces that end within lines.
            search.read(&mut io::BufReader::with_capacity(7, log.as_slice()), id).unwrap();
            let found = search.last.as_ref().map(|line| (line.time.as_str(), search.count));
            assert_eq!(found, expected, "{id}");
        }
    }
}
