//! What clients learn of the gateway's keys: a JWK Set (RFC 7517), of Ed25519 keys as RFC 8037 has them.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use ed25519_dalek::VerifyingKey;
use http::HeaderValue;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// The public keys that answers verify with, ready to be sent.
pub struct PublishedKeys {
    /// The JWK Set.
    pub document: Bytes,
    /// Its entity tag, quotes and all: another one whenever the document is another, the same on every instance.
    pub etag: HeaderValue,
}

impl PublishedKeys {
    /// Of these keys, by `key_id`.
    #[must_use]
    pub fn new(active: &str, keys: &BTreeMap<String, VerifyingKey>) -> Self {
        // The one that signs goes first, for clients that look no further.
        let (first, others): (Vec<_>, Vec<_>) = keys.iter().partition(|(key_id, _)| *key_id == active);
        let jwks: Vec<_> = first.into_iter().chain(others).map(|(key_id, key)| jwk(key_id, key)).collect();
        let document = Bytes::from(json!({ "keys": jwks }).to_string());
        let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(&document));
        // Base64 and quotes are what a header value may hold.
        let etag = HeaderValue::try_from(format!("\"{digest}\"")).unwrap_or(HeaderValue::from_static("\"\""));
        Self { document, etag }
    }
}

/// RFC 8037 section 2. Libraries know `EdDSA`; `Ed25519`, which RFC 9864 puts in its place, few of them do yet.
fn jwk(key_id: &str, key: &VerifyingKey) -> serde_json::Value {
    let x = URL_SAFE_NO_PAD.encode(key.as_bytes());
    json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": key_id, "x": x })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(active: &str, keys: &[(&str, &str)]) -> PublishedKeys {
        let key = |base64| filters::signature::parse_key(base64).unwrap().unwrap();
        PublishedKeys::new(active, &keys.iter().map(|(id, base64)| ((*id).to_owned(), key(base64))).collect())
    }

    /// The key of RFC 8037 appendix A.2, in the base64 of configurations.
    const RFC_8037: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    const OTHER: &str = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";

    #[test]
    fn the_key_of_rfc_8037_is_written_as_there() {
        let published = published("main", &[("main", RFC_8037)]);
        let expected = json!({ "keys": [{
            "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
            "alg": "EdDSA", "use": "sig", "kid": "main",
        }] });
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&published.document).unwrap(), expected);
    }

    #[test]
    fn the_active_key_is_the_first() {
        for (active, expected) in [("a", ["a", "b"]), ("b", ["b", "a"])] {
            let published = published(active, &[("a", RFC_8037), ("b", OTHER)]);
            let document: serde_json::Value = serde_json::from_slice(&published.document).unwrap();
            assert_eq!([&document["keys"][0]["kid"], &document["keys"][1]["kid"]], expected);
        }
    }

    #[test]
    fn the_tag_changes_with_the_keys_and_only_then() {
        let tag = |active, keys: &[(&str, &str)]| published(active, keys).etag;
        let first = tag("a", &[("a", RFC_8037), ("b", OTHER)]);
        assert_eq!(first, tag("a", &[("b", OTHER), ("a", RFC_8037)]));
        assert_ne!(first, tag("b", &[("a", RFC_8037), ("b", OTHER)]));
        assert_ne!(first, tag("a", &[("a", RFC_8037)]));
        assert_ne!(first, tag("a", &[("a", RFC_8037), ("c", OTHER)]));
        assert!(first.to_str().is_ok_and(|tag| tag.len() == 45 && tag.starts_with('"') && tag.ends_with('"')));
    }
}
