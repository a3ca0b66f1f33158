//! What the backend answers: JSON, and errors as `{"error":{"code","message"}}`.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::Full;
use serde_json::{Value, json};

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    status: u16,
    body: Value,
}

/// An answer that says no.
#[derive(Debug)]
pub(super) struct Failure {
    status: u16,
    code: &'static str,
    message: &'static str,
}

impl Reply {
    pub(super) fn ok(body: Value) -> Self {
        Self { status: 200, body }
    }

    pub(super) fn created(body: Value) -> Self {
        Self { status: 201, body }
    }

    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body.to_string().into()));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

impl Failure {
    pub(super) const fn new(status: u16, code: &'static str, message: &'static str) -> Self {
        Self { status, code, message }
    }

    pub(super) fn into_reply(self) -> Reply {
        Reply { status: self.status, body: json!({ "error": { "code": self.code, "message": self.message } }) }
    }
}

impl From<getrandom::Error> for Failure {
    fn from(_: getrandom::Error) -> Self {
        Self::new(500, "internal", "The operating system gave no randomness")
    }
}
