//! What was expected beside what came.

use super::{
    super::explanation::{Explanation, Place, Sent, Upshot},
    Failure, stopped,
};
use crate::{
    config::source::{Expected, ExpectedRequest},
    printable::escaped,
};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// Where it is written what a pointer within `expect` leads to.
type At<'a> = dyn Fn(&str) -> Place + 'a;

/// What was not as it was expected.
pub(super) fn compare(expected: &Expected, explanation: &Explanation, at: &At<'_>) -> Vec<Failure> {
    let Expected { status, reason, route, stopped_by, forward, headers, json, result_code } = expected;
    let mut found = Differences { at, failures: Vec::new() };
    let answer = explanation.upshot.answer();
    let (refused, why) = match &explanation.upshot {
        Upshot::Refused { reason, .. } => (Some((*reason).to_owned()), stopped(explanation)),
        Upshot::Undecided { why } => (None, Some(why.clone())),
        Upshot::Forwarded { .. } | Upshot::Answered { .. } | Upshot::Opened { .. } => (None, None),
    };
    if let Some(status) = status {
        let came = answer.map(|answer| answer.status.to_string());
        let with_why = |came: String| why.as_ref().map_or(came.clone(), |why| format!("{came} ({why})"));
        found.told("status", &status.to_string(), came, "no answer that is known here", with_why);
    }
    found.text("reason", reason.as_deref(), refused, "no refusal");
    found.text("route", route.as_deref(), explanation.route.clone(), "no route");
    let by = explanation.stopped_by().map(str::to_owned);
    found.text("stopped_by", stopped_by.as_deref(), by, "no filter");
    let code = answer.and_then(|answer| answer.result_code.clone());
    found.text("result_code", result_code.as_deref(), code, "no signed answer");
    let answered = answer.map(|answer| answer.headers.as_slice()).unwrap_or_default();
    found.headers("/headers", headers, answered);
    let body = answer.and_then(|answer| answer.body.as_deref());
    found.json("/json", json.as_ref(), body);
    if let Some(forward) = forward {
        match explanation.upshot.sent() {
            Some(sent) => found.sent(forward, sent),
            None => {
                let came = why.unwrap_or_else(|| "it was not".to_owned());
                found.add("/forward", "forward", "to be sent to a backend", &came);
            }
        }
    }
    found.failures
}

struct Differences<'a> {
    at: &'a At<'a>,
    failures: Vec<Failure>,
}

impl Differences<'_> {
    fn add(&mut self, pointer: &str, what: &str, expected: &str, came: &str) {
        let (expected, came) = (escaped(expected).into_owned(), escaped(came).into_owned());
        self.failures.push(Failure { at: (self.at)(pointer), what: what.to_owned(), expected, came });
    }

    fn text(&mut self, what: &str, expected: Option<&str>, came: Option<String>, nothing: &str) {
        if let Some(expected) = expected {
            self.told(what, expected, came, nothing, |came| came);
        }
    }

    fn told(
        &mut self,
        what: &str,
        expected: &str,
        came: Option<String>,
        nothing: &str,
        tell: impl Fn(String) -> String,
    ) {
        if came.as_deref() != Some(expected) {
            self.add(&format!("/{what}"), what, expected, &tell(came.unwrap_or_else(|| nothing.to_owned())));
        }
    }

    fn headers(&mut self, pointer: &str, expected: &BTreeMap<String, Option<String>>, came: &[(String, String)]) {
        for (name, expected) in expected {
            let values: Vec<&str> = came
                .iter()
                .filter(|(given, _)| given.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.as_str())
                .collect();
            let came = if values.is_empty() { "no such header".to_owned() } else { values.join(", ") };
            let is_so = match expected {
                Some(expected) => values == [expected.as_str()],
                None => values.is_empty(),
            };
            if !is_so {
                let expected = expected.as_deref().unwrap_or("no such header");
                self.add(&join(pointer, name), name, expected, &came);
            }
        }
    }

    fn json(&mut self, pointer: &str, expected: Option<&Json>, body: Option<&str>) {
        let Some(expected) = expected else { return };
        let came = body.and_then(|body| serde_json::from_str::<Json>(body).ok());
        if came.as_ref() != Some(expected) {
            self.add(pointer, "json", &expected.to_string(), body.unwrap_or("no body"));
        }
    }

    fn sent(&mut self, expected: &ExpectedRequest, sent: &Sent) {
        let ExpectedRequest { upstream, method, path, headers, json } = expected;
        for (what, expected, came) in
            [("upstream", upstream, &sent.upstream), ("method", method, &sent.method), ("path", path, &sent.target)]
        {
            if let Some(expected) = expected.as_ref().filter(|expected| *expected != came) {
                self.add(&format!("/forward/{what}"), what, expected, came);
            }
        }
        self.headers("/forward/headers", headers, &sent.headers);
        self.json("/forward/json", json.as_ref(), sent.body.as_deref());
    }
}

/// A JSON pointer one step further (RFC 6901).
fn join(pointer: &str, segment: &str) -> String {
    format!("{pointer}/{}", segment.replace('~', "~0").replace('/', "~1"))
}
