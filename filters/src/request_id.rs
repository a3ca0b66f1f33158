//! Gives every request an id, under which it is logged and which the backend and the client are told.
//!
//! Without it an answer cannot be matched to a log line. A client's own id is taken only where the route
//! trusts it: ids chosen by strangers could be made to collide with those of others, or to forge log lines.
//! An id that is not 1 to 128 visible ASCII characters is replaced, never refused.
//!
//! It can always decide.
//!
//! ```yaml
//! - request_id: { trust: true }
//! ```

use crate::api::{BuildFault, Check, Clock, Configured, Exchange, Filter, Parts, Step};
use http::{HeaderMap, HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use uuid::{Builder, fmt::Hyphenated};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const ID_BYTES_MAX: usize = 128;

/// Gives every request an id: in the log, and as `X-Request-Id` to the backend and to the client.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Keeps the client's `X-Request-Id` where it is 1 to 128 visible ASCII characters. Otherwise every
    /// request gets a new id.
    pub trust: bool,
}

impl Configured for Config {
    const NAME: &'static str = "request_id";
    const ONCE: bool = true;

    fn build(&self, parts: &Parts) -> Result<Box<dyn Filter>, BuildFault> {
        Ok(Box::new(RequestId { is_trusting: self.trust, clock: Arc::clone(&parts.clock) }))
    }
}

struct RequestId {
    is_trusting: bool,
    clock: Arc<dyn Clock>,
}

impl Filter for RequestId {
    fn name(&self) -> &'static str {
        Config::NAME
    }

    fn check<'f, 'x: 'f>(&'f self, exchange: &'f mut Exchange<'x>) -> Check<'f> {
        let brought = self.is_trusting.then(|| brought_id(exchange.head.headers)).flatten();
        let id = brought.unwrap_or_else(|| self.new_id());
        let facts = &mut *exchange.facts;
        facts.upstream_headers.set(X_REQUEST_ID, id.clone());
        facts.downstream_headers.set(X_REQUEST_ID, id.clone());
        facts.request_id = Some(id);
        Step::Ready(Ok(()))
    }
}

impl RequestId {
    /// A UUID of version 7. Its random bits need not be secret, so they come from a generator of the thread:
    /// no lock, no system call.
    fn new_id(&self) -> HeaderValue {
        let mut random = [0; 10];
        fastrand::fill(&mut random);
        let millis = u64::try_from(self.clock.unix_ms()).unwrap_or_default();
        let uuid = Builder::from_unix_timestamp_millis(millis, &random).into_uuid();
        let mut text = [0; Hyphenated::LENGTH];
        let text: &str = uuid.hyphenated().encode_lower(&mut text);
        HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("-"))
    }
}

fn brought_id(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut values = headers.get_all(X_REQUEST_ID).iter();
    let (value, more) = (values.next()?, values.next());
    let is_fit = (1..=ID_BYTES_MAX).contains(&value.len()) && value.as_bytes().iter().all(u8::is_ascii_graphic);
    (is_fit && more.is_none()).then(|| value.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::HeaderEdit,
        fakes::{Request, parts},
    };
    use std::collections::HashSet;

    async fn id_of(trust: bool, brought: &[&str]) -> String {
        let filter = Config { trust }.build(&parts()).unwrap();
        let mut request = Request::get("/");
        for value in brought {
            request.headers.append(X_REQUEST_ID, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        request.check(&*filter).await.unwrap();
        let id = request.facts.request_id.unwrap();
        let set = HeaderEdit::Set(X_REQUEST_ID, id.clone());
        assert_eq!(request.facts.upstream_headers.iter().collect::<Vec<_>>(), [&set]);
        assert_eq!(request.facts.downstream_headers.iter().collect::<Vec<_>>(), [&set]);
        id.to_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn a_trusted_id_is_kept_where_it_is_visible_ascii() {
        let longest = "x".repeat(128);
        for kept in ["a", "!~", longest.as_str()] {
            assert_eq!(id_of(true, &[kept]).await, kept);
        }
        let too_long = "x".repeat(129);
        for replaced in [&[][..], &[""], &["a b"], &["a\tb"], &["ä"], &[too_long.as_str()], &["a", "a"]] {
            assert_eq!(id_of(true, replaced).await.len(), 36, "{replaced:?}");
        }
    }

    #[tokio::test]
    async fn an_untrusted_id_is_replaced() {
        assert_ne!(id_of(false, &["mine"]).await, "mine");
    }

    #[tokio::test]
    async fn new_ids_are_sortable_and_differ() {
        let mut ids = HashSet::new();
        for _ in 0..1000 {
            let id = id_of(false, &[]).await;
            assert!(id.starts_with("018bcfe5-6800-7"), "{id} does not begin with the clock's time");
            assert!(ids.insert(id));
        }
    }
}
