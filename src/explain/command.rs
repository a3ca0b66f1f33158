//! Commands of devices that are made up.

use super::{
    request::{Parts, Request, RequestFault},
    stand_in::Given,
};
use crate::{
    client::{self, Codec, Device, Dialect, Protocol},
    config::source,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use ed25519_dalek::SigningKey;
use http::StatusCode;
use proto::signing::Markers;
use serde_json::json;
use std::net::IpAddr;

const EXECUTE: &str = "/edge.v1.Gateway/ExecuteCommand";

/// Signs commands, with one key for all devices.
#[derive(Debug, Clone)]
pub struct Signer {
    key: SigningKey,
    markers: Markers,
}

/// A command.
#[derive(Debug, Clone)]
pub struct Command {
    /// Its device session.
    pub session: String,
    /// Its name.
    pub message_type: String,
    /// Its payload.
    pub payload: Bytes,
    /// Its id in the session.
    pub request_id: String,
    /// When it was signed, Unix milliseconds.
    pub timestamp_ms: i64,
    /// Headers beside those of the protocol.
    pub headers: Vec<(String, String)>,
    /// Whether its signature is one of another key.
    pub is_forged: bool,
}

impl Signer {
    /// A signer for a gateway with this `signing`.
    #[must_use]
    pub fn new(signing: Option<&source::Signing>) -> Self {
        let markers = signing.map(|signing| signing.markers.clone()).unwrap_or_default();
        let source::Markers { request, response, event } = markers;
        Self { key: SigningKey::from_bytes(&[2; 32]), markers: Markers { request, response, event } }
    }

    /// What a backend answers to the lookup of a session that holds this key. `status` is `active` or `revoked`.
    #[must_use]
    pub fn session(&self, id: &str, user_id: &str, status: &str) -> Given {
        let key = STANDARD.encode(self.key.verifying_key().as_bytes());
        let session = json!({
            "device_session_id": id, "user_id": user_id, "status": status, "client_public_key": key,
        });
        Given::json(StatusCode::OK, &session)
    }

    /// The call that brings a command to a listener, in Connect.
    ///
    /// # Errors
    /// Where its headers are none.
    pub fn request(&self, listener: &str, peer: IpAddr, command: &Command) -> Result<Request, RequestFault> {
        let key = if command.is_forged { SigningKey::from_bytes(&[3; 32]) } else { self.key.clone() };
        let mut device = Device::new(command.session.clone(), key);
        device.markers = self.markers.clone();
        let signed = device.sign(&client::Command {
            message_type: command.message_type.clone(),
            payload: command.payload.clone(),
            timestamp_ms: command.timestamp_ms,
            request_id: command.request_id.clone(),
        });
        let dialect = Dialect::new(Protocol::Connect, Codec::Json);
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let own = dialect.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect::<Vec<_>>();
        let parts = Parts {
            method: "POST".to_owned(),
            target: EXECUTE.to_owned(),
            headers: own.into_iter().chain(command.headers.clone()).collect(),
            // Protobuf's JSON form of an envelope cannot fail: it has strings, bytes and one number.
            body: dialect.body(&signed).unwrap_or_default(),
            ..Parts::default()
        };
        Request::new(listener, peer, parts)
    }
}
