//! Removes and sets headers, of the request to the backend and of the answer to the client.
//!
//! It hides what backends tell about themselves (`Server`, `X-Powered-By`), takes away what clients could
//! smuggle to a backend, and adds what every answer should carry (`Strict-Transport-Security`). Headers that
//! frame a message or belong to one connection are refused in the configuration: changed here they would
//! open request smuggling. Answers that the gateway gives itself, refusals included, are changed too.
//!
//! It can always decide.
//!
//! ```yaml
//! - headers:
//!     request: { remove: [x-debug], set: { x-gateway: portcullis } }
//!     response: { remove: [server, x-powered-by], set: { strict-transport-security: max-age=31536000 } }
//! ```

use crate::api::{BuildFault, Check, ConfigProblem, Configured, Exchange, Filter, HeaderEdits, Parts, Step};
use http::{HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// RFC 9110 section 7.6.1 and what frames a message; the proxy alone writes these.
const FRAMING: [&str; 9] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Who asked.
pub const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Whom they asked.
pub const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// At which port.
pub const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
/// By which scheme.
pub const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Headers by which proxies say where a request came from. A client's own are dropped, and the gateway
/// writes those that it vouches for.
pub static FORWARDING: [HeaderName; 6] = [
    HeaderName::from_static("forwarded"),
    FORWARDED_FOR,
    FORWARDED_HOST,
    FORWARDED_PROTO,
    FORWARDED_PORT,
    HeaderName::from_static("x-real-ip"),
];

/// Removes and sets headers.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// On the request that goes to the backend.
    pub request: Changes,
    /// On the answer that goes to the client.
    pub response: Changes,
}

/// Changes to headers. What is removed is removed first.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Changes {
    /// Names of headers to remove.
    pub remove: Vec<String>,
    /// Headers to set, in place of every value that they had.
    pub set: BTreeMap<String, String>,
}

impl Configured for Config {
    const NAME: &'static str = "headers";

    fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        for (side, changes) in [("request", &self.request), ("response", &self.response)] {
            changes.read(&mut |pointer, what, remedy| {
                problems.push(ConfigProblem { pointer: format!("/{side}/{pointer}"), what, remedy });
            });
        }
        problems
    }

    fn build(&self, _: &Parts) -> Result<Box<dyn Filter>, BuildFault> {
        if let Some(problem) = self.problems().into_iter().next() {
            return Err(BuildFault { filter: Self::NAME, what: problem.what });
        }
        let (request, response) = (self.request.read(&mut |_, _, _| ()), self.response.read(&mut |_, _, _| ()));
        Ok(Box::new(Headers { request, response }))
    }
}

impl Changes {
    /// The edits, and every problem on the way to them as (pointer, what, remedy).
    fn read(&self, problem: &mut dyn FnMut(String, String, String)) -> HeaderEdits {
        let mut edits = HeaderEdits::default();
        for (index, written) in self.remove.iter().enumerate() {
            match name(written) {
                Ok(name) => edits.remove(name),
                Err((what, remedy)) => problem(format!("remove/{index}"), what, remedy),
            }
        }
        for (written, value) in &self.set {
            let pointer = format!("set/{}", written.replace('~', "~0").replace('/', "~1"));
            match (name(written), HeaderValue::from_str(value)) {
                (Ok(name), Ok(value)) => edits.set(name, value),
                (Err((what, remedy)), _) => problem(pointer, what, remedy),
                (Ok(_), Err(_)) => problem(
                    pointer,
                    format!("the value of «{written}» has characters that no header may have"),
                    "write visible ASCII characters and spaces, without line breaks".to_owned(),
                ),
            }
        }
        edits
    }
}

fn name(written: &str) -> Result<HeaderName, (String, String)> {
    let name = HeaderName::from_bytes(written.as_bytes()).map_err(|_| {
        let what = format!("«{written}» is no header name");
        (what, "write letters, digits and hyphens, such as x-powered-by".to_owned())
    })?;
    if is_framing(name.as_str()) {
        let what = format!("«{written}» frames the message or belongs to one connection: only the proxy writes it");
        return Err((what, "leave it out".to_owned()));
    }
    Ok(name)
}

/// Whether a header frames messages or belongs to one connection, so that only the proxy can write it.
#[must_use]
pub fn is_framing(name: &str) -> bool {
    FRAMING.iter().any(|framing| framing.eq_ignore_ascii_case(name))
}

struct Headers {
    request: HeaderEdits,
    response: HeaderEdits,
}

impl Filter for Headers {
    fn name(&self) -> &'static str {
        Config::NAME
    }

    fn check<'f, 'x: 'f>(&'f self, exchange: &'f mut Exchange<'x>) -> Check<'f> {
        exchange.facts.upstream_headers.extend(&self.request);
        exchange.facts.downstream_headers.extend(&self.response);
        Step::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::HeaderEdit,
        fakes::{Request, parts},
    };

    fn config(yaml: &str) -> Config {
        serde_yaml::from_str(yaml).unwrap()
    }

    #[tokio::test]
    async fn edits_are_left_for_both_sides() {
        let config = config("{ request: { remove: [X-Debug], set: { x-debug: on } }, response: { remove: [server] } }");
        let mut request = Request::get("/");
        request.check(&*config.build(&parts()).unwrap()).await.unwrap();
        let debug = HeaderName::from_static("x-debug");
        assert_eq!(
            request.facts.upstream_headers.iter().cloned().collect::<Vec<_>>(),
            [HeaderEdit::Remove(debug.clone()), HeaderEdit::Set(debug, HeaderValue::from_static("on"))]
        );
        assert_eq!(
            request.facts.downstream_headers.iter().cloned().collect::<Vec<_>>(),
            [HeaderEdit::Remove(http::header::SERVER)]
        );
    }

    #[test]
    fn problems_point_to_their_place() {
        for (yaml, pointers) in [
            ("{ request: { remove: [a, 'b c'] } }", &["/request/remove/1"][..]),
            ("{ request: { set: { '': x } } }", &["/request/set/"]),
            ("{ request: { set: { 'a/b': x } } }", &["/request/set/a~1b"]),
            ("{ response: { set: { x: \"a\\nb\" } } }", &["/response/set/x"]),
            (
                "{ request: { remove: [Host] }, response: { set: { Transfer-Encoding: chunked } } }",
                &["/request/remove/0", "/response/set/Transfer-Encoding"],
            ),
            ("{ request: { set: { x: '' } } }", &[]),
        ] {
            let config = config(yaml);
            let problems = config.problems();
            assert_eq!(problems.iter().map(|p| p.pointer.as_str()).collect::<Vec<_>>(), pointers, "{yaml}");
            assert_eq!(config.build(&parts()).is_err(), !pointers.is_empty(), "{yaml}");
        }
    }

    #[test]
    fn framing_headers_are_refused() {
        for framing in FRAMING {
            assert_eq!(config(&format!("{{ request: {{ remove: [{framing}] }} }}")).problems().len(), 1, "{framing}");
        }
    }
}
