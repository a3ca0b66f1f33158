//! An explanation for people.

use super::{
    explanation::{Answered, Explanation, Place, Sent, Standing, Upshot},
    settings::Setting,
};
use crate::printable::escaped;
use std::fmt::{self, Display, Formatter};

/// The column in which the configuration's lines stand.
const PLACE_COLUMN: usize = 56;
/// A body of a request or an answer is for recognising it.
const BODY_SHOWN_MAX: usize = 400;

impl Display for Explanation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let method = escaped(&self.method);
        writeln!(f, "{method} {}  from {}", escaped(&self.target), self.client_ip)?;
        placed(f, &format!("listener  {}", self.listener), &self.listener_at)?;
        if let Some(framing) = &self.framing {
            writeln!(f, "framing   {}", escaped(framing))?;
        }
        match &self.path {
            Some(path) => writeln!(f, "path      {}", escaped(path))?,
            None => writeln!(f, "path      none: the request is refused before it has one")?,
        }
        if !self.dropped_headers.is_empty() {
            let names: Vec<_> = self.dropped_headers.iter().map(|name| escaped(name)).collect();
            writeln!(f, "dropped   {}: only the gateway may say it", names.join(", "))?;
        }
        match (&self.route, &self.route_at, &self.target_name) {
            (Some(route), Some(at), Some(target)) => placed(f, &format!("route     {route} → {target}"), at)?,
            _ => match &self.shut_at {
                Some(at) => placed(f, "route     none: the path is shut", at)?,
                None => writeln!(f, "route     none")?,
            },
        }
        self.fmt_considered(f)?;
        self.fmt_filters(f)?;
        for sent in &self.asked {
            let (upstream, method, target) = (&sent.upstream, &sent.method, escaped(&sent.target));
            writeln!(f, "asked     upstream {upstream} {method} {target}: {}", sent.said())?;
        }
        self.upshot.fmt(f)?;
        match &self.next {
            Some(next) => write!(f, "\nbehind it on the connection\n{next}"),
            None => Ok(()),
        }
    }
}

impl Explanation {
    fn fmt_considered(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for considered in &self.considered {
            placed(f, &format!("    not   {}: {}", considered.route, escaped(&considered.why)), &considered.at)?;
        }
        match self.others {
            0 => Ok(()),
            1 => writeln!(f, "    not   1 more, for another listener, host or path"),
            more => writeln!(f, "    not   {more} more, for other listeners, hosts and paths"),
        }
    }

    fn fmt_filters(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (index, judged) in self.filters.iter().enumerate() {
            let head = if index == 0 { "filters" } else { "" };
            let mark = match judged.verdict {
                Standing::Passed => "✓",
                Standing::Refused => "✗",
                Standing::Answered | Standing::Waived => "!",
                Standing::Undecided => "?",
                Standing::NotReached => "·",
            };
            placed(f, &format!("{head:<9} {mark} {:<13} {}", judged.filter, judged.verdict), &judged.at)?;
            for note in &judged.notes {
                writeln!(f, "{:27}{}", "", escaped(note))?;
            }
        }
        Ok(())
    }
}

impl Display for Upshot {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forwarded { sent, answer } => {
                writeln!(f, "forwarded to upstream {}", sent.upstream)?;
                sent.fmt(f)?;
                match answer {
                    Some(answer) => write!(f, "the client gets\n{answer}"),
                    None => Ok(()),
                }
            }
            Self::Answered { answer } => write!(f, "answered by the gateway\n{answer}"),
            Self::Opened { events, event_types, resume_after } => {
                writeln!(f, "opens a stream of the events {events}")?;
                match event_types.as_slice() {
                    [] => writeln!(f, "    all types")?,
                    types => writeln!(f, "    only {}", escaped(&types.join(", ")))?,
                }
                match resume_after {
                    Some(position) => writeln!(f, "    those behind {}", escaped(position)),
                    None => writeln!(f, "    from now on"),
                }
            }
            Self::Refused { reason, detail, decided_by, sent, answer } => {
                if let Some(sent) = sent {
                    write!(f, "sent to upstream {}, which answered {}\n{sent}", sent.upstream, sent.said())?;
                }
                writeln!(f, "refused   {reason}: {}", escaped(detail))?;
                if let Some(setting) = decided_by {
                    setting.fmt(f)?;
                }
                write!(f, "the client gets\n{answer}")
            }
            Self::Undecided { why } => writeln!(f, "undecided {}", escaped(why)),
        }
    }
}

impl Display for Setting {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let what = format!("decided   by {}: {}", self.key, self.value);
        match &self.at {
            Some(at) => placed(f, &what, at),
            None => writeln!(f, "{what:<PLACE_COLUMN$}  by default"),
        }
    }
}

impl Sent {
    fn said(&self) -> &str {
        self.answered.as_deref().unwrap_or("not known here")
    }
}

impl Display for Sent {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "    {} {}", self.method, escaped(&self.target))?;
        message(f, &self.headers, self.body.as_deref())?;
        match &self.message {
            Some(what) => writeln!(f, "    ({what})"),
            None => Ok(()),
        }
    }
}

impl Display for Answered {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (&self.result_code, self.closed_with) {
            (Some(code), _) => writeln!(f, "    {} with result_code {}", self.status, escaped(code))?,
            (None, Some(code)) => writeln!(f, "    {}, and is closed with {code}", self.status)?,
            (None, None) => writeln!(f, "    {}", self.status)?,
        }
        message(f, &self.headers, self.body.as_deref())
    }
}

fn message(f: &mut Formatter<'_>, headers: &[(String, String)], body: Option<&str>) -> fmt::Result {
    let mut headers: Vec<_> = headers.iter().collect();
    headers.sort();
    for (name, value) in headers {
        writeln!(f, "    {}: {}", escaped(name), escaped(value))?;
    }
    let Some(body) = body else { return Ok(()) };
    let shown: String = body.chars().take(BODY_SHOWN_MAX).collect();
    let more = if shown.len() < body.len() { "…" } else { "" };
    writeln!(f, "\n    {}{more}", escaped(&shown))
}

fn placed(f: &mut Formatter<'_>, what: &str, at: &Place) -> fmt::Result {
    writeln!(f, "{what:<PLACE_COLUMN$}  {at}")
}
