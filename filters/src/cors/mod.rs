//! Lets browsers of other origins call.
//!
//! A browser asks before it lets a page call another origin: this answers the question (a preflight) without
//! the backend, and marks the answers that a page may read. The gateway alone speaks CORS: what a backend
//! says of it is removed, so that a careless backend opens nothing. Refusals carry the headers too, so that a
//! page can read why it was refused.
//!
//! Place it ahead of every filter that refuses. The defaults are what Connect and gRPC-Web clients need in
//! browsers (connectrpc.com/docs/cors): their request headers are allowed, and gRPC's status and this
//! gateway's `X-RateLimit-*` are exposed. CORS protects the users of browsers; it stops no other client, also
//! not with `strict`, which only spares the backend the calls whose answers the browser would withhold.
//!
//! It can always decide.
//!
//! ```yaml
//! - cors: { origins: ["https://app.example.com"], credentials: true, max_age: 1h }
//! ```

use crate::api::{
    BuildFault, Check, ConfigProblem, Configured, Exchange, Facts, Filter, Halt, Outcome, Parts, Reason, Refusal, Step,
    units::Duration,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Lets browsers of other origins call.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The origins, exact: `https://app.example.com`, with the port where it is not the scheme's own.
    /// `"*"` alone is every origin.
    pub origins: Vec<String>,
    /// The methods that pages may use.
    #[serde(default = "default_methods")]
    pub methods: Vec<String>,
    /// The request headers that pages may send. The default is what Connect and gRPC-Web need.
    #[serde(default = "default_headers")]
    pub headers: Vec<String>,
    /// The answer's headers that pages may read. The default has gRPC's status and the gateway's own.
    #[serde(default = "default_expose")]
    pub expose: Vec<String>,
    /// Whether the browser may send cookies and client certificates.
    #[serde(default)]
    pub credentials: bool,
    /// How long the browser may keep the answer to a preflight. Browsers cap it at 2h to 24h.
    #[serde(default = "default_max_age")]
    pub max_age: Duration,
    /// Refuses calls of other origins with `ORIGIN_FORBIDDEN`, instead of leaving them to the browser.
    #[serde(default)]
    pub strict: bool,
}

fn owned(list: &[&str]) -> Vec<String> {
    list.iter().map(|&entry| entry.to_owned()).collect()
}

fn default_methods() -> Vec<String> {
    owned(&["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
}

fn default_headers() -> Vec<String> {
    owned(&[
        "Authorization",
        "Connect-Protocol-Version",
        "Connect-Timeout-Ms",
        "Content-Type",
        "Grpc-Timeout",
        "X-Grpc-Web",
        "X-Request-Id",
        "X-User-Agent",
    ])
}

fn default_expose() -> Vec<String> {
    owned(&[
        "Grpc-Message",
        "Grpc-Status",
        "Grpc-Status-Details-Bin",
        "Retry-After",
        "X-RateLimit-Limit",
        "X-RateLimit-Remaining",
        "X-RateLimit-Reset",
        "X-Request-Id",
    ])
}

fn default_max_age() -> Duration {
    Duration::from_secs(7200)
}

impl Configured for Config {
    const NAME: &'static str = "cors";
    const ONCE: bool = true;

    fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        let mut problem = |pointer: String, what: String, remedy: &str| {
            problems.push(ConfigProblem { pointer, what, remedy: remedy.to_owned() });
        };
        if self.origins.is_empty() {
            let remedy = "name the origins, such as https://app.example.com, or leave the filter out";
            problem("/origins".to_owned(), "no origin is allowed".to_owned(), remedy);
        }
        let is_any = self.origins.iter().any(|origin| origin == "*");
        if is_any && self.credentials {
            let what = "with `credentials`, `*` would let every site act as the user".to_owned();
            problem("/origins".to_owned(), what, "name the origins that may");
        }
        if is_any && self.origins.len() > 1 {
            let what = "`*` is every origin already".to_owned();
            problem("/origins".to_owned(), what, "name the origins, or write only `*`");
        }
        for (index, origin) in self.origins.iter().enumerate().filter(|(_, origin)| !is_origin(origin)) {
            let remedy = "write scheme://host or scheme://host:port, in lower case and without a path";
            problem(
                format!("/origins/{index}"),
                format!("«{origin}» is not what a browser sends as an origin"),
                remedy,
            );
        }
        for (index, method) in
            self.methods.iter().enumerate().filter(|(_, m)| Method::from_bytes(m.as_bytes()).is_err())
        {
            problem(format!("/methods/{index}"), format!("«{method}» is no method"), "write it as in GET or PATCH");
        }
        for (list, names) in [("headers", &self.headers), ("expose", &self.expose)] {
            for (index, name) in names.iter().enumerate() {
                if HeaderName::from_bytes(name.as_bytes()).is_err() {
                    let what = format!("«{name}» is no header name");
                    problem(format!("/{list}/{index}"), what, "write it as in Content-Type");
                } else if name == "*" && self.credentials {
                    let what = "with `credentials`, browsers do not take `*` for every header".to_owned();
                    problem(format!("/{list}/{index}"), what, "name the headers");
                }
            }
        }
        problems
    }

    fn build(&self, _: &Parts) -> Result<Box<dyn Filter>, BuildFault> {
        if let Some(problem) = self.problems().into_iter().next() {
            return Err(BuildFault { filter: Self::NAME, what: problem.what });
        }
        let value = |text: String| {
            HeaderValue::try_from(text).map_err(|fault| BuildFault { filter: Self::NAME, what: fault.to_string() })
        };
        Ok(Box::new(Cors {
            origins: if self.origins.iter().any(|origin| origin == "*") {
                Origins::Any
            } else {
                Origins::These(self.origins.iter().cloned().map(value).collect::<Result<_, _>>()?)
            },
            methods: value(self.methods.join(", "))?,
            headers: value(self.headers.join(", "))?,
            expose: value(self.expose.join(", "))?,
            max_age: HeaderValue::from(self.max_age.get().as_secs()),
            has_credentials: self.credentials,
            is_strict: self.strict,
        }))
    }
}

/// Whether a browser could send this as an origin (RFC 6454 section 6.2). `null`, which sandboxed pages of
/// any site send, is not taken for one; `*`, which is any, is.
#[must_use]
pub fn is_origin(written: &str) -> bool {
    if written == "*" {
        return true;
    }
    let Some((scheme, rest)) = written.split_once("://") else { return false };
    let is_scheme = !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_lowercase() || b"+-.".contains(&b));
    let is_rest = !rest.is_empty()
        && rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._:[]".contains(&b));
    is_scheme && is_rest
}

enum Origins {
    Any,
    These(Vec<HeaderValue>),
}

struct Cors {
    origins: Origins,
    methods: HeaderValue,
    headers: HeaderValue,
    expose: HeaderValue,
    max_age: HeaderValue,
    has_credentials: bool,
    is_strict: bool,
}

impl Filter for Cors {
    fn name(&self) -> &'static str {
        Config::NAME
    }

    fn admit_reader(&self, headers: &HeaderMap, facts: &mut Facts) -> bool {
        let may_read = headers.contains_key(header::ORIGIN) && self.allowed(headers).is_some();
        may_read && self.actual(headers, facts).is_ok()
    }

    fn check<'f, 'x: 'f>(&'f self, exchange: &'f mut Exchange<'x>) -> Check<'f> {
        let head = exchange.head;
        let asked = head.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        let is_preflight = *head.method == Method::OPTIONS && asked && head.headers.contains_key(header::ORIGIN);
        Step::Ready(if is_preflight {
            self.preflight(head.headers, exchange.facts)
        } else {
            self.actual(head.headers, exchange.facts)
        })
    }
}

impl Cors {
    fn preflight(&self, headers: &HeaderMap, facts: &mut Facts) -> Outcome {
        let edits = &mut facts.downstream_headers;
        let varies = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";
        edits.append(header::VARY, HeaderValue::from_static(varies));
        let Some(allowed) = self.allowed(headers) else { return Err(Refusal::new(Reason::OriginForbidden).into()) };
        edits.set(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        edits.set(header::ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone());
        edits.set(header::ACCESS_CONTROL_ALLOW_HEADERS, self.headers.clone());
        edits.set(header::ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
        if self.has_credentials {
            edits.set(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        Err(Halt::Answered(StatusCode::NO_CONTENT))
    }

    fn actual(&self, headers: &HeaderMap, facts: &mut Facts) -> Outcome {
        let edits = &mut facts.downstream_headers;
        for name in [
            header::ACCESS_CONTROL_ALLOW_ORIGIN,
            header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
        ] {
            edits.remove(name);
        }
        if matches!(self.origins, Origins::These(_)) {
            // Also without an origin: a cache must not give that answer to a page.
            edits.append(header::VARY, HeaderValue::from_static("Origin"));
        }
        if !headers.contains_key(header::ORIGIN) {
            return Ok(());
        }
        let Some(allowed) = self.allowed(headers) else {
            return if self.is_strict { Err(Refusal::new(Reason::OriginForbidden).into()) } else { Ok(()) };
        };
        edits.set(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        edits.set(header::ACCESS_CONTROL_EXPOSE_HEADERS, self.expose.clone());
        if self.has_credentials {
            edits.set(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        Ok(())
    }

    /// What `Access-Control-Allow-Origin` says, where the request's one origin is allowed.
    fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let Origins::These(origins) = &self.origins else { return Some(HeaderValue::from_static("*")) };
        let mut brought = headers.get_all(header::ORIGIN).iter();
        let (origin, more) = (brought.next()?, brought.next());
        (more.is_none() && origins.contains(origin)).then(|| origin.clone())
    }
}

#[cfg(test)]
mod tests;
