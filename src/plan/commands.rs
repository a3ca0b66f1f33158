//! How a command becomes a REST call.

use super::payload::{Field, Fields};
use crate::{
    config::{source::Call, spelling::climbs},
    upstream::{Upstream, encode_value},
};
use bytes::Bytes;
use filters::api::{MessageTypes, Reason, Refusal};
use http::Method;
use std::{collections::HashMap, sync::Arc};

/// The commands of one route: an upstream, and the REST call of each message_type.
pub struct Commands {
    /// The name in the configuration.
    pub name: String,
    /// Where the calls go.
    pub upstream: Arc<Upstream>,
    calls: HashMap<String, CallTemplate>,
}

/// A REST call with places for fields of the payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallTemplate {
    method: Method,
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Field(String),
}

/// A REST call with everything filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestCall {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// Whether the method gives a body a meaning, an empty one too.
    pub takes_body: bool,
    /// The JSON body; empty where there is none.
    pub body: Bytes,
}

impl Commands {
    /// Compiles what the operator wrote.
    #[must_use]
    pub fn new<'a>(
        name: &str,
        upstream: Arc<Upstream>,
        calls: impl IntoIterator<Item = (&'a String, &'a Call)>,
    ) -> Self {
        let calls = calls.into_iter().map(|(name, call)| (name.clone(), CallTemplate::new(call))).collect();
        Self { name: name.to_owned(), upstream, calls }
    }

    /// The call of this message_type.
    #[must_use]
    pub fn call(&self, message_type: &str) -> Option<&CallTemplate> {
        self.calls.get(message_type)
    }
}

impl MessageTypes for Commands {
    fn is_routed(&self, message_type: &str) -> bool {
        self.calls.contains_key(message_type)
    }
}

impl CallTemplate {
    fn new(call: &Call) -> Self {
        let (method, path) = match call {
            Call::Get(path) => (Method::GET, path),
            Call::Post(path) => (Method::POST, path),
            Call::Put(path) => (Method::PUT, path),
            Call::Patch(path) => (Method::PATCH, path),
            Call::Delete(path) => (Method::DELETE, path),
        };
        Self { method, pieces: pieces(path) }
    }

    /// The call for this payload.
    ///
    /// # Errors
    /// `PAYLOAD_INVALID` where the payload does not fit the call (contract section 6).
    pub fn fill(&self, payload: &Bytes) -> Result<RestCall, Refusal> {
        let takes_body = matches!(self.method, Method::POST | Method::PUT | Method::PATCH);
        let fields_used = self.pieces.iter().any(|piece| matches!(piece, Piece::Field(_)));
        let fields = match payload.is_empty() {
            true => Fields::default(),
            false => match Fields::read(payload).map_err(invalid)? {
                Some(fields) => fields,
                // A body may be any JSON; only fields need an object.
                None if takes_body && !fields_used => Fields::default(),
                None => return Err(invalid("payload: must be a JSON object")),
            },
        };
        let mut target = self.path(&fields)?;
        if !takes_body {
            self.append_query(&mut target, &fields)?;
        }
        let body = if takes_body { payload.clone() } else { Bytes::new() };
        Ok(RestCall { method: self.method.clone(), target, takes_body, body })
    }

    fn path(&self, fields: &Fields<'_>) -> Result<String, Refusal> {
        let mut path = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => path.push_str(text),
                Piece::Field(name) => path.push_str(&encode_value(path_value(name, fields.get(name))?)),
            }
        }
        Ok(path)
    }

    fn append_query(&self, target: &mut String, fields: &Fields<'_>) -> Result<(), Refusal> {
        let in_path = |name: &str| self.pieces.iter().any(|piece| matches!(piece, Piece::Field(used) if used == name));
        let mut separator = if target.contains('?') { '&' } else { '?' };
        for (name, field) in fields.iter().filter(|(name, _)| !in_path(name)) {
            let value = match field {
                Field::Null => continue,
                Field::Scalar(value) => value,
                Field::Composite => return Err(invalid(format!("payload.{name}: must be a scalar"))),
            };
            target.push(separator);
            target.push_str(&encode_value(name));
            target.push('=');
            target.push_str(&encode_value(value));
            separator = '&';
        }
        Ok(())
    }
}

fn invalid(detail: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::because(Reason::PayloadInvalid, detail)
}

fn pieces(path: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = path;
    while let Some((text, after)) = rest.split_once("{payload.") {
        let Some((field, after)) = after.split_once('}') else { break };
        pieces.push(Piece::Text(text.to_owned()));
        pieces.push(Piece::Field(field.to_owned()));
        rest = after;
    }
    pieces.push(Piece::Text(rest.to_owned()));
    pieces
}

/// Returns a value that may stand as one segment of a path. One that [climbs](climbs) is refused; controls would split a
/// log line or a header further on.
fn path_value<'a>(name: &str, field: Option<&'a Field<'_>>) -> Result<&'a str, Refusal> {
    let problem = |what: &str| invalid(format!("payload.{name}: {what}"));
    let text = match field {
        Some(Field::Scalar(text)) => text.as_ref(),
        Some(Field::Composite) => return Err(problem("must be a scalar")),
        Some(Field::Null) | None => return Err(problem("is required")),
    };
    if matches!(text, "" | "." | "..") {
        return Err(problem("must not be empty, `.` or `..`"));
    }
    if climbs(text) {
        return Err(problem("must not have dot segments, escaped or not"));
    }
    if text.chars().any(char::is_control) {
        return Err(problem("must not have control characters"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(call: &Call, payload: &str) -> String {
        match CallTemplate::new(call).fill(&Bytes::copy_from_slice(payload.as_bytes())) {
            Ok(RestCall { method, target, body, .. }) => {
                format!("{method} {target} {}", String::from_utf8_lossy(&body))
            }
            Err(refusal) => format!("{} {}", refusal.reason.as_str(), refusal.detail),
        }
    }

    #[test]
    fn payloads_become_paths_queries_and_bodies() {
        let get = |path: &str| Call::Get(path.to_owned());
        let post = |path: &str| Call::Post(path.to_owned());
        for (call, payload, expected) in [
            (get("/a"), "", "GET /a "),
            (get("/a"), r#"{"x":1,"y":"b c&d","z":null,"t":true}"#, "GET /a?t=true&x=1&y=b%20c%26d "),
            (get("/a/{payload.id}/r"), r#"{"id":"x/y?","page":2}"#, "GET /a/x%2Fy%3F/r?page=2 "),
            (get("/a/{payload.id}"), r#"{"id":7}"#, "GET /a/7 "),
            (
                get("/a/{payload.id}"),
                r#"{"id":18446744073709551616,"v":1.50,"e":1e2,"z":-0}"#,
                "GET /a/18446744073709551616?e=1e2&v=1.50&z=-0 ",
            ),
            (Call::Delete("/a/{payload.id}".to_owned()), r#"{"id":"é"}"#, "DELETE /a/%C3%A9 "),
            (post("/a"), r#"{"b":[1]}"#, r#"POST /a {"b":[1]}"#),
            (post("/a"), "[1]", "POST /a [1]"),
            (post("/a"), "", "POST /a "),
            (post("/a/{payload.id}"), r#"{"id":"1"}"#, r#"POST /a/1 {"id":"1"}"#),
            (get("/a"), "[1]", "PAYLOAD_INVALID payload: must be a JSON object"),
            (get("/a"), r#"{"x":[1]}"#, "PAYLOAD_INVALID payload.x: must be a scalar"),
            (get("/a/{payload.id}"), "{}", "PAYLOAD_INVALID payload.id: is required"),
            (get("/a/{payload.id}"), r#"{"id":null}"#, "PAYLOAD_INVALID payload.id: is required"),
            (get("/a/{payload.id}"), r#"{"id":{}}"#, "PAYLOAD_INVALID payload.id: must be a scalar"),
            (get("/a/{payload.id}"), r#"{"id":".."}"#, "PAYLOAD_INVALID payload.id: must not be empty, `.` or `..`"),
            (
                get("/a/{payload.id}"),
                r#"{"id":"x/../../admin"}"#,
                "PAYLOAD_INVALID payload.id: must not have dot segments, escaped or not",
            ),
            (
                get("/a/{payload.id}"),
                r#"{"id":"%2e%2e"}"#,
                "PAYLOAD_INVALID payload.id: must not have dot segments, escaped or not",
            ),
            (get("/a/{payload.id}"), r#"{"id":"a%2Fb"}"#, "GET /a/a%252Fb "),
            (get("/a"), r#"{"x":"../b"}"#, "GET /a?x=..%2Fb "),
            (
                get("/a/{payload.id}"),
                "{\"id\":\"a\\nb\"}",
                "PAYLOAD_INVALID payload.id: must not have control characters",
            ),
            (post("/a/{payload.id}"), "[1]", "PAYLOAD_INVALID payload: must be a JSON object"),
        ] {
            assert_eq!(fill(&call, payload), expected, "{payload}");
        }
        assert!(fill(&post("/a"), "{").starts_with("PAYLOAD_INVALID"));
        assert!(fill(&post("/a"), r#"{"a":1,"a":2}"#).starts_with("PAYLOAD_INVALID"));
    }
}
