//! A device signs in: two public routes, forwarded to the backend behind their budgets.

use super::{Failed, Story, expect};
use crate::{
    client::{CallError, Device, HttpVersion, Reply},
    demo::{backend::Mail, stage::fresh_key},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderValue, Method, header::CONTENT_TYPE};
use serde_json::{Value, json};
use std::time::Duration;

pub(super) const SEND_CODE: &str = "/api/v1/public/auth/send-email-code";

const CONFIRM_CODE: &str = "/api/v1/public/auth/confirm-email-code";

const EMAIL: &str = "ada@example.org";

/// The mail leaves before the answer to its request, so it is there at once.
const MAIL_DEADLINE: Duration = Duration::from_secs(5);

impl Story<'_> {
    /// A new device of the same user.
    pub(super) async fn sign_in(&mut self) -> Result<Device, Failed> {
        let step = format!("POST {SEND_CODE}");
        let sent = expect::json(&step, 200, self.post(SEND_CODE, &json!({ "email": EMAIL })).await)?;
        let challenge_id = expect::text(&step, &sent, "challenge_id")?;
        let mail = self.mail(&step, &challenge_id).await?;
        self.narrator.held(&step, &format!("200, and the code {} is in the mail to {}", mail.code, mail.to));

        let step = format!("POST {CONFIRM_CODE}");
        let key = fresh_key().map_err(|fault| Failed::fault(&step, &fault))?;
        let body = json!({
            "challenge_id": challenge_id,
            "code": mail.code,
            "client_public_key": STANDARD.encode(key.verifying_key().as_bytes()),
        });
        let opened = expect::json(&step, 200, self.post(CONFIRM_CODE, &body).await)?;
        let mut device = Device::new(expect::text(&step, &opened, "device_session_id")?, key);
        device.gateway_keys.by_id.insert("demo".to_owned(), self.gateway_key);
        self.narrator.held(&step, &format!("200, device session {}", device.device_session_id));
        Ok(device)
    }

    async fn mail(&mut self, step: &str, challenge_id: &str) -> Result<Mail, Failed> {
        let expected = "a mail with the code";
        let found = async {
            while let Some(mail) = self.mailbox.recv().await {
                if mail.challenge_id == challenge_id {
                    return Ok(mail);
                }
            }
            Err(Failed::new(step, expected, "a backend that is gone"))
        };
        let found = tokio::time::timeout(MAIL_DEADLINE, found).await;
        found.unwrap_or_else(|_| Err(Failed::new(step, expected, "no mail")))
    }

    /// Posts JSON to a public route.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Reply, CallError> {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        let (public, body) = (&self.gateway.public, body.to_string().into());
        self.client.exchange(public, HttpVersion::Http1, Method::POST, path, headers, body).await
    }
}
