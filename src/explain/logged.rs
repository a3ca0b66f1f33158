//! A request that was, out of the access log.

mod search;

pub use search::{Line, Search};

use super::explanation::Place;
use crate::{config::Loaded, printable::escaped};
use filters::api::Reason;
use serde::Serialize;
use std::fmt::{self, Display, Formatter};

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
            advice: reason.map_or_else(|| without_reason(line.status), |reason| reason.remedy()),
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

impl Display for Story {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Line { method, path, client_ip, listener, route, status, request_id, time, .. } = &self.line;
        let [method, path, client_ip, listener, route, id, time] =
            [method, path, client_ip, listener, route, request_id, time].map(|text| escaped(text));
        writeln!(f, "{method} {path}  from {client_ip}  at {time}")?;
        if self.lines > 1 {
            writeln!(f, "note      {} requests have this id; this is the newest", self.lines)?;
        }
        writeln!(f, "id        {id}")?;
        let Line { client_request_id, trace_id, session, user, node, .. } = &self.line;
        for (label, text) in [
            ("client id ", client_request_id),
            ("trace     ", trace_id),
            ("session   ", session),
            ("user      ", user),
            ("node      ", node),
        ] {
            if let Some(text) = text {
                writeln!(f, "{label}{}", escaped(text))?;
            }
        }
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
        if let Some(fault) = &self.line.fault {
            let detail = self.line.fault_detail.as_deref().unwrap_or_default();
            writeln!(f, "fault     {}: {}", escaped(fault), escaped(detail))?;
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
