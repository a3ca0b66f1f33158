//! The gateway's public keys, from where it publishes them.

use super::{CallError, Client, Endpoint, GatewayKeys, HttpVersion};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use ed25519_dalek::VerifyingKey;
use http::{HeaderMap, Method, StatusCode, Uri};
use serde::Deserialize;
use std::{collections::BTreeMap, str::FromStr};

/// Where a gateway publishes its keys: `https://host:port/path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeysUrl {
    endpoint: Endpoint,
    path: String,
}

impl FromStr for KeysUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let split = || {
            let path = text.parse::<Uri>().ok()?.path_and_query()?.to_string();
            let endpoint = text.strip_suffix(&path).unwrap_or(text).parse().ok()?;
            Some(Self { endpoint, path })
        };
        split().ok_or_else(|| "write where the keys are published, such as https://host:port/path".to_owned())
    }
}

impl KeysUrl {
    /// Whether they come over an encrypted connection.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.endpoint.is_tls()
    }
}

/// A JWK Set (RFC 7517 section 5).
#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<Jwk>,
}

/// What counts of a key in it. Other keys may have other members.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    crv: Option<String>,
    kid: Option<String>,
    x: Option<String>,
}

impl Client {
    /// Reads the keys that a gateway publishes. Whoever can change that answer says which signatures hold: over
    /// `http://` that is everybody on the way.
    ///
    /// # Errors
    /// Where no answer came, or one without a usable key.
    pub async fn gateway_keys(&self, from: &KeysUrl) -> Result<GatewayKeys, CallError> {
        let (headers, body) = (HeaderMap::new(), Bytes::new());
        let reply = self.exchange(&from.endpoint, HttpVersion::Http1, Method::GET, &from.path, headers, body).await?;
        if reply.status != StatusCode::OK {
            return Err(CallError::Malformed(format!("{} has no keys: {}", from.path, reply.status)));
        }
        read(&reply.body)
    }
}

/// The Ed25519 keys of a JWK Set, by `kid`; those of other kinds are passed over (RFC 7517 section 5).
fn read(document: &[u8]) -> Result<GatewayKeys, CallError> {
    let malformed = |what: String| CallError::Malformed(format!("the gateway's keys: {what}"));
    let set: JwkSet = serde_json::from_slice(document).map_err(|fault| malformed(fault.to_string()))?;
    let mut by_id = BTreeMap::new();
    for jwk in set.keys.into_iter().filter(|jwk| jwk.kty == "OKP" && jwk.crv.as_deref() == Some("Ed25519")) {
        let Some(key_id) = jwk.kid else { continue };
        let raw = jwk.x.and_then(|x| URL_SAFE_NO_PAD.decode(x).ok()?.try_into().ok());
        let key = raw.and_then(|raw| VerifyingKey::from_bytes(&raw).ok());
        let key = key.ok_or_else(|| malformed(format!("{key_id:?} is no Ed25519 key")))?;
        by_id.insert(key_id, key);
    }
    if by_id.is_empty() {
        return Err(malformed("there is none in it".to_owned()));
    }
    Ok(GatewayKeys { by_id, only: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_an_endpoint_and_a_path() {
        for (text, expected) in [
            ("https://edge.example/.well-known/jwks.json", Some(("https://edge.example", "/.well-known/jwks.json"))),
            ("http://127.0.0.1:9090/keys?of=main", Some(("http://127.0.0.1:9090", "/keys?of=main"))),
            ("http://[::1]:9090", Some(("http://[::1]:9090", "/"))),
            ("/.well-known/jwks.json", None),
            ("ftp://a/b", None),
            ("", None),
        ] {
            let url = text.parse::<KeysUrl>().ok();
            let parts = url.as_ref().map(|url| (url.endpoint.to_string(), url.path.as_str()));
            assert_eq!(parts.as_ref().map(|(endpoint, path)| (endpoint.as_str(), *path)), expected, "{text}");
        }
    }

    #[test]
    fn keys_are_read_by_their_id_and_other_kinds_passed_over() {
        let document = br#"{"keys":[
            {"kty":"EC","crv":"P-256","kid":"ec","x":"AA","y":"AA"}, {"kty":"OKP","crv":"X25519","kid":"dh","x":"AA"},
            {"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"main","use":"sig"},
            {"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
        ],"more":1}"#;
        let keys = read(document).unwrap();
        assert_eq!(keys.by_id.keys().collect::<Vec<_>>(), ["main"]);
        assert_eq!(keys.find("main").unwrap().as_bytes()[..2], [0xd7, 0x5a]);
    }

    #[test]
    fn what_is_no_set_of_keys_is_said() {
        for (document, expected) in [
            ("", "EOF"),
            ("<html>", "expected value"),
            (r#"{"keys":{}}"#, "sequence"),
            (r#"{"keys":[]}"#, "there is none in it"),
            (r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"main"}]}"#, r#""main" is no Ed25519 key"#),
            (r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"main","x":"AA"}]}"#, r#""main" is no Ed25519 key"#),
        ] {
            let fault = read(document.as_bytes()).unwrap_err().to_string();
            assert!(fault.contains(expected), "{document}: {fault}");
        }
    }
}
