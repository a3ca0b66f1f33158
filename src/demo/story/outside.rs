//! What a stranger may try on the public listener.

use super::{Failed, Story, expect};
use crate::client::{CallError, Device, HttpVersion, Reply};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::Value;

/// Ways to spell the path of a session lookup, `{id}` being the session's. Each has gone through some proxy to
/// some backend once.
const SPELLINGS: [&str; 8] = [
    "/api/v1/internal/sessions/{id}",
    "/api/v1/%69nternal/sessions/{id}",
    "/api/v1/%2569nternal/sessions/{id}",
    "/api/v1/internal%2fsessions/{id}",
    "/api/v1/internal%5csessions/{id}",
    "/api/v1/public/../internal/sessions/{id}",
    "/api/v1/public/%2e%2e/internal/sessions/{id}",
    "/api/v1//internal/sessions/{id}",
];

/// Spellings of the header by which the backend knows who calls; `_` is what CGI makes of `-`.
const IDENTITY_HEADERS: [&str; 2] = ["x-user-id", "x_user_id"];

impl Story<'_> {
    pub(super) async fn outside(&mut self, device: &Device) -> Result<(), Failed> {
        for spelling in SPELLINGS {
            let step = format!("GET {spelling}");
            let came = self.get(&spelling.replace("{id}", &device.device_session_id), HeaderMap::new()).await;
            let refused = expect::problem(&step, &["ROUTE_UNKNOWN", "REQUEST_MALFORMED"], came)?;
            let reason = refused.reason.unwrap_or_default();
            self.narrator.held(&step, &format!("{}, {reason}", refused.http_status));
        }
        for name in IDENTITY_HEADERS {
            let step = format!("GET /api/v1/user/account with the header {name}: user-1");
            let headers = HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static("user-1"))]);
            let answer = expect::json(&step, 401, self.get("/api/v1/user/account", headers).await)?;
            let missing = Value::from("identity.missing");
            expect::same(&step, &missing, answer.pointer("/error/code").unwrap_or(&Value::Null))?;
            self.narrator.held(&step, "401, the backend was not told of any user");
        }
        Ok(())
    }

    async fn get(&self, path: &str, headers: HeaderMap) -> Result<Reply, CallError> {
        let public = &self.gateway.public;
        self.client.exchange(public, HttpVersion::Http1, Method::GET, path, headers, Bytes::new()).await
    }
}
