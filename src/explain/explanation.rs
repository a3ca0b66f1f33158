//! What is said of a request.

use super::settings::Setting;
use serde::Serialize;
use std::{fmt, net::IpAddr};

/// A place in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// What a plan makes of a request, from its head to where it ends.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// The listener.
    pub listener: String,
    /// Where that is configured.
    pub listener_at: Place,
    /// The client's address, as the gateway takes it.
    pub client_ip: IpAddr,
    /// The method.
    pub method: String,
    /// The request target as it was sent.
    pub target: String,
    /// What is to be said of where it ends, in the bytes of its connection: what is missing, and what stands behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub framing: Option<String>,
    /// The canonical path, which routes match; none where the path has none.
    pub path: Option<String>,
    /// Where it is configured that the path is shut, where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shut_at: Option<Place>,
    /// The names of headers that the client may not send, and that were dropped.
    pub dropped_headers: Vec<String>,
    /// The routes that were tried ahead of the one that was found, in the order of trial.
    pub considered: Vec<Considered>,
    /// How many more there were, for other listeners, hosts and paths.
    pub others: usize,
    /// The route.
    pub route: Option<String>,
    /// Where that is configured.
    pub route_at: Option<Place>,
    /// Its target, as one word and a name.
    pub target_name: Option<String>,
    /// What each filter of its chain said, in their order.
    pub filters: Vec<Judged>,
    /// What backends were asked before the request was decided.
    pub asked: Vec<Sent>,
    /// What became of it.
    #[serde(flatten)]
    pub upshot: Upshot,
    /// The next request on the same connection, where bytes stand behind this one that are read as such.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Box<Explanation>>,
}

impl Explanation {
    /// The filter that stopped it.
    #[must_use]
    pub fn stopped_by(&self) -> Option<&'static str> {
        let stops = |judged: &&Judged| matches!(judged.verdict, Standing::Refused | Standing::Answered);
        self.filters.iter().find(stops).map(|judged| judged.filter)
    }
}

/// A route that did not take a request.
#[derive(Debug, Clone, Serialize)]
pub struct Considered {
    /// The route.
    pub route: String,
    /// Where it is configured.
    pub at: Place,
    /// Why not.
    pub why: String,
}

/// What a filter said.
#[derive(Debug, Clone, Serialize)]
pub struct Judged {
    /// The filter.
    pub filter: &'static str,
    /// Where it is configured.
    pub at: Place,
    /// Its verdict.
    pub verdict: Standing,
    /// Why, and what it changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A filter's verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It let the request pass.
    Passed,
    /// It could not decide, and the request passed nevertheless.
    Waived,
    /// It refused.
    Refused,
    /// It answered.
    Answered,
    /// It needs what is not here.
    Undecided,
    /// The request did not come so far.
    NotReached,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passed => "passed",
            Self::Waived => "passed undecided",
            Self::Refused => "refused",
            Self::Answered => "answered",
            Self::Undecided => "not decided offline",
            Self::NotReached => "not reached",
        })
    }
}

/// A request to a backend.
#[derive(Debug, Clone, Serialize)]
pub struct Sent {
    /// The upstream's name.
    pub upstream: String,
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// The headers, in no order.
    pub headers: Vec<(String, String)>,
    /// The body, where there is one that is text; of a call its messages as JSON, one a line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Of a call: what its messages are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What it answered, where it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered: Option<String>,
}

/// An answer to the client.
#[derive(Debug, Clone, Serialize)]
pub struct Answered {
    /// The status.
    pub status: u16,
    /// The headers, in no order.
    pub headers: Vec<(String, String)>,
    /// The body, where there is one that is text; of a command's answer its payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Of a command's answer: `ok`, or the backend's error code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_code: Option<String>,
    /// Of a WebSocket that is refused once it is one: the code that it is closed with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed_with: Option<u16>,
}

/// What became of a request.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Upshot {
    /// It goes to a backend.
    Forwarded {
        /// As what.
        sent: Box<Sent>,
        /// What the client gets, where it was said what the backend answers.
        #[serde(skip_serializing_if = "Option::is_none")]
        answer: Option<Box<Answered>>,
    },
    /// The gateway answers it itself.
    Answered {
        /// What the client gets.
        answer: Box<Answered>,
    },
    /// It opens a stream of events.
    Opened {
        /// The source's name.
        events: String,
        /// The types that are wanted; all where there are none.
        event_types: Vec<String>,
        /// The position behind which it begins; now where there is none.
        #[serde(skip_serializing_if = "Option::is_none")]
        resume_after: Option<String>,
    },
    /// It is refused.
    Refused {
        /// The stable word.
        reason: &'static str,
        /// What exactly was wrong.
        detail: String,
        /// What of the configuration decides that, where it is none of the route's filters.
        #[serde(skip_serializing_if = "Option::is_none")]
        decided_by: Option<Setting>,
        /// What its backend was sent, where it is the answer to that which is refused.
        #[serde(skip_serializing_if = "Option::is_none")]
        sent: Option<Box<Sent>>,
        /// What the client gets.
        answer: Box<Answered>,
    },
    /// What decides it is not here.
    Undecided {
        /// What that is.
        why: String,
    },
}

impl Upshot {
    /// What its backend is sent, where it is sent anything.
    #[must_use]
    pub fn sent(&self) -> Option<&Sent> {
        match self {
            Self::Forwarded { sent, .. } => Some(sent),
            Self::Refused { sent, .. } => sent.as_deref(),
            Self::Answered { .. } | Self::Opened { .. } | Self::Undecided { .. } => None,
        }
    }

    /// What the client gets, where that is known.
    #[must_use]
    pub fn answer(&self) -> Option<&Answered> {
        match self {
            Self::Forwarded { answer, .. } => answer.as_deref(),
            Self::Answered { answer } | Self::Refused { answer, .. } => Some(answer),
            Self::Opened { .. } | Self::Undecided { .. } => None,
        }
    }
}
