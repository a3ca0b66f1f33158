//! What a configuration promises: tests that `portcullis test` runs, and invariants that are proved of its routes.

use filters::api::units::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::{collections::BTreeMap, num::NonZeroU32};

/// What becomes of requests. `portcullis test` finds out, without a network; a gateway that runs does not look at it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Test {
    /// The test's name: what holds.
    pub name: String,
    /// The device sessions that the backend knows, by id; without them it knows every one, as that of a user of the same
    /// name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sessions: BTreeMap<String, TestSession>,
    /// What backends answer, by the upstream's name: 200 and `{}` where it is left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub upstreams: BTreeMap<String, TestAnswer>,
    /// One request after the other. A test with one has its keys beside `name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<TestStep>,
    /// A plain request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<TestRequest>,
    /// A command, which the test signs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<TestCommand>,
    /// How often it is sent. All but the last have to be let through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub times: Option<NonZeroU32>,
    /// What becomes of the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expected>,
}

/// A request, and what becomes of it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestStep {
    /// How much time passes ahead of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Duration>,
    /// A plain request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<TestRequest>,
    /// A command, which the test signs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<TestCommand>,
    /// How often it is sent. All but the last have to be let through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub times: Option<NonZeroU32>,
    /// What becomes of the last.
    pub expect: Expected,
}

/// A plain request: one of the methods with a path or a URL, and more.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the names are the HTTP methods")]
pub struct TestRequest {
    /// The listener that it comes to; the only one where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub get: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub post: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub put: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delete: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<String>,
    /// The host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Headers and their values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The address that it comes from; 192.0.2.1 where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The body, as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json: Option<Json>,
    /// The body, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

impl TestRequest {
    /// The methods that are given, each with its path: one, where it is right.
    #[must_use]
    pub fn asked(&self) -> Vec<(&'static str, &str)> {
        let methods = [
            ("get", &self.get),
            ("head", &self.head),
            ("post", &self.post),
            ("put", &self.put),
            ("patch", &self.patch),
            ("delete", &self.delete),
            ("options", &self.options),
        ];
        methods.into_iter().filter_map(|(method, path)| Some((method, path.as_deref()?))).collect()
    }
}

/// A command of a device, signed by the test.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestCommand {
    /// The message_type.
    pub r#type: String,
    /// The device session's id.
    pub session: String,
    /// The payload; empty where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Json>,
    /// Its id in the session; another for each command where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// How long ago it was signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age: Option<Duration>,
    /// Whether it is signed with another key than the session's.
    #[serde(default)]
    pub forged: bool,
    /// The listener that it comes to; that of the first route with `commands` where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listener: Option<String>,
    /// Headers and their values, beside those of the protocol.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The address that it comes from; 192.0.2.1 where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// A device session that the backend knows.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TestSession {
    /// Whose it is; a user of the session's name where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// What the backend says of it.
    pub status: TestStatus,
}

/// What the backend says of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TestStatus {
    /// It may act.
    #[default]
    Active,
    /// It was ended.
    Revoked,
    /// There is none.
    Unknown,
    /// Nothing: the lookup fails.
    Unavailable,
}

/// What a backend answers.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TestAnswer {
    /// The status.
    #[schemars(range(min = 200, max = 599))]
    pub status: u16,
    /// Headers and their values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The body, as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json: Option<Json>,
}

impl Default for TestAnswer {
    fn default() -> Self {
        Self { status: 200, headers: BTreeMap::new(), json: None }
    }
}

/// What becomes of a request. All that is given must hold.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Expected {
    /// The status that the client gets; of a command as Connect has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why it is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The route that it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// The filter that stops it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_by: Option<String>,
    /// What the backend is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forward: Option<ExpectedRequest>,
    /// Headers of the answer: their values, or null for those that it must not have.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Option<String>>,
    /// The body of the answer, as JSON; of a command its payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json: Option<Json>,
    /// Of a command: `ok`, or the backend's error code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_code: Option<String>,
}

/// What a backend is sent. All that is given must hold.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExpectedRequest {
    /// The upstream's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// The method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The path with its query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Headers: their values, or null for those that it must not have.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Option<String>>,
    /// The body, as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json: Option<Json>,
}

/// What holds of all routes. It is proved whenever a configuration is read, and one that breaks it is refused.
///
/// It is about the routes that `under`, `listener` and `upstream` leave, or about all, and says one of `needs`, `is` and
/// `never_forwarded` of them.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Invariant {
    /// The beginning of paths, with a slash at its end: what can be reached there, by a request or by a command's call,
    /// in every spelling that a backend could take for it. A value of a payload stands for one segment of the call's path,
    /// as its slashes are sent as `%2F`: of a backend that takes those for slashes nothing is proved there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub under: Option<String>,
    /// A listener: what can be reached by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener: Option<String>,
    /// An upstream: what reaches it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// A filter that whatever reaches a backend passes. `session` is `session` with `signature`, without which it says
    /// nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needs: Option<String>,
    /// Beside `under`: nothing from outside reaches it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is: Option<Claim>,
    /// A header that no backend gets as a client has sent it, nor spelled in another way that some backends take for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub never_forwarded: Option<String>,
}

/// What is claimed of paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Claim {
    /// Nothing from outside reaches them.
    Shut,
}
