//! Limits the body, and takes it as JSON.
//!
//! A body without a limit is memory or time without one. With `json` the body is read whole and must be one
//! JSON document in UTF-8, of the JSON media type and not compressed; budgets behind it can then count by its
//! fields. It is parsed strictly: where two parsers read the same bytes differently, a caller could show one
//! value to a budget and another to the backend, so a name that occurs twice in an object is refused.
//!
//! It can always decide.
//!
//! ```yaml
//! - body: { max: 8KiB, json: true }
//! - body: { max: 10MiB }
//! ```

pub mod json;

use crate::api::{
    BodyNeed, BuildFault, Check, ConfigProblem, Configured, Exchange, Filter, Halt, MediaType, Outcome, Parts, Reason,
    Refusal, Step, units::Size,
};
use http::{HeaderMap, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Limits the body, and takes it as JSON.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The most bytes that a body may have. More is refused with `BODY_TOO_LARGE`.
    pub max: Size,
    /// Whether the body must be JSON. It is then read whole before the rest of the chain runs.
    #[serde(default)]
    pub json: bool,
}

impl Configured for Config {
    const NAME: &'static str = "body";

    fn problems(&self) -> Vec<ConfigProblem> {
        if !self.json || self.max.bytes() > 0 {
            return Vec::new();
        }
        let what = "no JSON document has 0 bytes".to_owned();
        vec![ConfigProblem { pointer: "/max".to_owned(), what, remedy: "write a size such as 8KiB".to_owned() }]
    }

    fn build(&self, _: &Parts) -> Result<Box<dyn Filter>, BuildFault> {
        Ok(Box::new(Body { bytes_max: self.max.bytes(), is_json: self.json }))
    }
}

struct Body {
    bytes_max: u64,
    is_json: bool,
}

impl Filter for Body {
    fn name(&self) -> &'static str {
        Config::NAME
    }

    fn body_need(&self) -> Option<BodyNeed> {
        self.is_json.then_some(BodyNeed { bytes_max: self.bytes_max })
    }

    fn check<'f, 'x: 'f>(&'f self, exchange: &'f mut Exchange<'x>) -> Check<'f> {
        Step::Ready(self.judge(exchange))
    }
}

impl Body {
    fn judge(&self, exchange: &mut Exchange<'_>) -> Outcome {
        let bytes_max = exchange.facts.body_bytes_max.map_or(self.bytes_max, |known| known.min(self.bytes_max));
        exchange.facts.body_bytes_max = Some(bytes_max);
        if announced_bytes(exchange.head.headers).is_some_and(|bytes| bytes > self.bytes_max) {
            return Err(self.too_large());
        }
        if !self.is_json {
            return Ok(());
        }
        let body = exchange.body.ok_or_else(|| Halt::misplaced(Config::NAME))?;
        if u64::try_from(body.len()).unwrap_or(u64::MAX) > self.bytes_max {
            return Err(self.too_large());
        }
        if let Some(wrong) = unsupported(exchange.head.headers) {
            return Err(Refusal::because(Reason::MediaTypeUnsupported, wrong).into());
        }
        match json::parse(body) {
            Ok(document) => {
                exchange.facts.json = Some(document);
                Ok(())
            }
            Err(fault) => Err(Refusal::because(Reason::BodyInvalid, fault).into()),
        }
    }

    fn too_large(&self) -> Halt {
        Refusal::because(Reason::BodyTooLarge, format!("the body has more than {} bytes", self.bytes_max)).into()
    }
}

fn announced_bytes(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Why this body is not taken for JSON, if it is not.
fn unsupported(headers: &HeaderMap) -> Option<&'static str> {
    let codings = headers.get_all(header::CONTENT_ENCODING);
    if codings.iter().any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Some("the body must not be compressed");
    }
    let Some(MediaType { essence, is_utf_8 }) = MediaType::of(headers) else {
        return Some("the body needs one Content-Type: application/json");
    };
    let is_json = essence
        .strip_prefix("application/")
        .is_some_and(|kind| kind == "json" || kind.strip_suffix("+json").is_some_and(|name| !name.is_empty()));
    if !is_json {
        return Some("the Content-Type must be application/json");
    }
    (!is_utf_8).then_some("JSON must be in UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes::{Request, parts, reason};

    fn check(config: &str, request: &mut Request) -> Option<Reason> {
        let config: Config = serde_yaml::from_str(config).unwrap();
        reason(request.check_now(&*config.build(&parts()).unwrap()))
    }

    #[test]
    fn a_document_is_left_for_later_filters() {
        let mut request = Request::post("application/json", r#"{"email":"a@b"}"#);
        assert_eq!(check("{ max: 15B, json: true }", &mut request), None);
        assert_eq!(request.facts.json.unwrap()["email"], "a@b");
        assert_eq!(request.facts.body_bytes_max, Some(15));
    }

    #[test]
    fn bodies_are_held_to_the_limit() {
        let long = || Request::post("application/json", r#"{"email":"a@b"}"#);
        assert_eq!(check("{ max: 14B, json: true }", &mut long()), Some(Reason::BodyTooLarge));
        for (announced, refusal) in [("14", None), ("15", Some(Reason::BodyTooLarge)), ("x", None)] {
            let mut request = Request { body: None, ..long() };
            request.headers.insert(header::CONTENT_LENGTH, announced.parse().unwrap());
            assert_eq!(check("{ max: 14B }", &mut request), refusal, "{announced}");
            assert_eq!(request.facts.body_bytes_max, Some(14));
        }
        let mut request = long();
        request.facts.body_bytes_max = Some(3);
        assert_eq!(check("{ max: 14B }", &mut request), None);
        assert_eq!(request.facts.body_bytes_max, Some(3), "the tighter of two limits holds");
    }

    #[test]
    fn only_json_is_taken() {
        for (media_type, is_json) in [
            ("application/json", true),
            ("Application/JSON; charset=UTF-8", true),
            ("application/json;charset=\"utf-8\"", true),
            ("application/problem+json", true),
            ("application/json; charset=utf-16", false),
            ("application/json; charset=utf-8; charset=latin1", false),
            ("application/json; charset =utf-7", false),
            ("application/json; charset= utf-7", false),
            ("application/json; charset*=utf-8''utf-7", false),
            ("application/json; charset", false),
            ("application/json; profile=charset=utf-7", true),
            ("application/json, text/plain", false),
            ("application/+json", false),
            ("application/jsonx", false),
            ("text/json", false),
            ("text/plain", false),
            ("", false),
        ] {
            let refused = check("{ max: 1KiB, json: true }", &mut Request::post(media_type, "{}"));
            assert_eq!(refused, (!is_json).then_some(Reason::MediaTypeUnsupported), "{media_type}");
        }
    }

    #[test]
    fn the_headers_must_agree() {
        for (name, value, refusal) in [
            (header::CONTENT_ENCODING, "identity", None),
            (header::CONTENT_ENCODING, "gzip", Some(Reason::MediaTypeUnsupported)),
            (header::CONTENT_ENCODING, "identity, br", Some(Reason::MediaTypeUnsupported)),
            (header::CONTENT_TYPE, "application/json", Some(Reason::MediaTypeUnsupported)),
        ] {
            let mut request = Request::post("application/json", "{}");
            request.headers.append(name.clone(), value.parse().unwrap());
            assert_eq!(check("{ max: 1KiB, json: true }", &mut request), refusal, "{name}: {value}");
        }
        let mut without = Request::post("application/json", "{}");
        without.headers.clear();
        assert_eq!(check("{ max: 1KiB, json: true }", &mut without), Some(Reason::MediaTypeUnsupported));
    }

    #[test]
    fn what_is_no_document_is_refused() {
        for body in ["", " ", "{", r#"{"a":1,"a":2}"#, "{} {}"] {
            let refused = check("{ max: 1KiB, json: true }", &mut Request::post("application/json", body));
            assert_eq!(refused, Some(Reason::BodyInvalid), "{body}");
        }
    }

    #[test]
    fn it_asks_for_the_body_only_where_it_looks_into_it() {
        for (yaml, need) in [("{ max: 1KiB }", None), ("{ max: 1KiB, json: true }", Some(BodyNeed { bytes_max: 1024 }))]
        {
            let config: Config = serde_yaml::from_str(yaml).unwrap();
            assert_eq!(config.build(&parts()).unwrap().body_need(), need);
        }
        let config: Config = serde_yaml::from_str("{ max: 0B, json: true }").unwrap();
        assert_eq!(config.problems()[0].pointer, "/max");
    }
}
