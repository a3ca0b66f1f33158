//! Where events are subscribed to other than by RPC.

use super::events::EventSource;
use crate::{config::source::WebSocketOptions, wire::Authority};
use filters::session::Invalidations;
use http::{
    HeaderMap, HeaderValue,
    header::{InvalidHeaderValue, ORIGIN},
};
use std::{sync::Arc, time::Duration};

/// How a subscription is answered.
pub struct EventTarget {
    /// What may be subscribed to.
    pub source: Arc<EventSource>,
    /// Sessions that were ended, for what is in flight.
    pub invalidations: Arc<Invalidations>,
}

/// How a subscription over WebSocket is answered.
pub struct WebSocketTarget {
    /// What may be subscribed to.
    pub events: EventTarget,
    /// Whose pages may.
    pub origins: Origins,
    /// How long a client may take to send its request, once it is connected.
    pub first_message: Duration,
    /// How long it may be silent.
    pub idle: Duration,
}

impl WebSocketTarget {
    /// Compiles what the operator wrote.
    ///
    /// # Errors
    /// Where an origin is no header value.
    pub(super) fn new(events: EventTarget, written: &WebSocketOptions) -> Result<Self, InvalidHeaderValue> {
        let WebSocketOptions { origins, first_message, idle, .. } = written;
        let origins = Origins::new(origins)?;
        Ok(Self { events, origins, first_message: first_message.get(), idle: idle.get() })
    }
}

/// Whose pages may connect. A browser asks nobody before it opens a WebSocket to another origin, and sends the user's
/// cookies with it (RFC 6455 section 10.2).
pub struct Origins(Box<[HeaderValue]>);

impl Origins {
    /// These; those of the host that is asked, where there is none.
    pub(super) fn new(written: &[String]) -> Result<Self, InvalidHeaderValue> {
        Ok(Self(written.iter().map(|origin| HeaderValue::from_str(origin)).collect::<Result<_, _>>()?))
    }

    /// Whether a request to this host may pass. One without an origin comes from no page.
    #[must_use]
    pub fn allow(&self, headers: &HeaderMap, host: &str) -> bool {
        let mut given = headers.get_all(ORIGIN).iter();
        match (given.next(), given.next()) {
            (None, _) => true,
            (Some(origin), None) if self.0.is_empty() => origin.to_str().is_ok_and(|origin| is_of(origin, host)),
            (Some(origin), None) => self.0.contains(origin),
            (Some(_), Some(_)) => false,
        }
    }
}

/// Whether an origin is that of a host. Of the scheme only the port says something: TLS may have ended elsewhere.
fn is_of(origin: &str, host: &str) -> bool {
    let (own, port) = match origin.split_once("://") {
        Some(("https", own)) => (own, 443),
        Some(("http", own)) => (own, 80),
        _ => return false,
    };
    Authority::read(own.as_bytes())
        .zip(Authority::read(host.as_bytes()))
        .is_some_and(|(own, host)| own.is_same(&host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_listed_or_of_the_same_host() {
        let listed = &["https://app.example.com", "https://b.example.com:8443"][..];
        for (origins, given, host, expected) in [
            (listed, &["https://app.example.com"][..], "api.example.com", true),
            (listed, &["https://b.example.com:8443"], "api.example.com", true),
            (listed, &["https://b.example.com"], "api.example.com", false),
            (listed, &["http://app.example.com"], "api.example.com", false),
            (listed, &["https://app.example.com.evil"], "api.example.com", false),
            (listed, &["https://api.example.com"], "api.example.com", false),
            (listed, &["null"], "api.example.com", false),
            (listed, &["https://app.example.com", "https://evil"], "api.example.com", false),
            (listed, &[], "api.example.com", true),
            (&[], &[], "api.example.com", true),
            (&[], &["https://api.example.com"], "api.example.com", true),
            (&[], &["https://API.example.com"], "api.example.com:443", true),
            (&[], &["http://api.example.com"], "api.example.com", true),
            (&[], &["http://127.0.0.1:8080"], "127.0.0.1:8080", true),
            (&[], &["http://127.0.0.1"], "127.0.0.1:8080", false),
            (&[], &["https://app.example.com"], "api.example.com", false),
            (&[], &["https://api.example.com."], "api.example.com", true),
            (&[], &["https://[::1]"], "[0::1]:443", true),
            (&[], &["https://"], "", false),
            (&[], &["null"], "null", false),
        ] {
            let origins = Origins::new(&origins.iter().map(|&origin| origin.to_owned()).collect::<Vec<_>>()).unwrap();
            let mut headers = HeaderMap::new();
            for origin in given {
                headers.append(ORIGIN, origin.parse().unwrap());
            }
            assert_eq!(origins.allow(&headers, host), expected, "{given:?} at {host}");
        }
    }
}
