//! Budgets, and a session that ends.

use super::{
    Failed, Story,
    commands::{PLAIN, fresh},
    expect,
    sign_in::SEND_CODE,
};
use crate::client::{CallError, Device, Refused};
use serde_json::{Value, json};

/// More than any budget of the demo's configuration has.
const FLOOD_MAX: u32 = 200;

const EXHAUSTED: &str = "BUDGET_EXHAUSTED";

impl Story<'_> {
    pub(super) async fn flood(&mut self, device: &Device) -> Result<(), Failed> {
        self.flood_mails().await?;
        let other = self.sign_in().await?;
        self.flood_commands(&other).await?;

        let step = "the user's first device, meanwhile";
        self.answered(step, device, PLAIN, ("user.account.get", Value::Null), "ok").await?;
        self.narrator.held(step, "ok");

        let step = "that device, once the backend has revoked its session";
        if !self.backend.revoke(&other.device_session_id) {
            return Err(Failed::new(step, "a session to revoke", "none"));
        }
        let request = other.sign(&fresh(step, "user.account.get", "")?);
        self.refused(step, &request, ("failed_precondition", "SESSION_REVOKED")).await
    }

    async fn flood_mails(&mut self) -> Result<(), Failed> {
        let step = "one address asked for codes again and again";
        for passed in 0..FLOOD_MAX {
            let came = self.post(SEND_CODE, &json!({ "email": "Flooded@example.org" })).await;
            if came.as_ref().is_ok_and(|reply| reply.status == 200) {
                continue;
            }
            let refused = expect::problem(step, &[EXHAUSTED], came)?;
            return self.exhausted(step, passed, &refused);
        }
        Err(Failed::new(step, EXHAUSTED, format!("{FLOOD_MAX} codes")))
    }

    async fn flood_commands(&mut self, device: &Device) -> Result<(), Failed> {
        let step = "one device session sending as fast as it can";
        for passed in 0..FLOOD_MAX {
            let request = device.sign(&fresh(step, "user.account.get", "")?);
            match self.call(PLAIN, &request).await {
                Err(CallError::Refused(refused)) => {
                    let came = Err(CallError::Refused(refused));
                    let refused = expect::refused(step, ("resource_exhausted", EXHAUSTED), came)?;
                    return self.exhausted(step, passed, &refused);
                }
                came => _ = expect::answered(step, "ok", device, &request, came)?,
            }
        }
        Err(Failed::new(step, EXHAUSTED, format!("{FLOOD_MAX} answers")))
    }

    /// Tells of a budget that ran out, where the refusal says all that a caller must know.
    fn exhausted(&mut self, step: &str, passed: u32, refused: &Refused) -> Result<(), Failed> {
        let (Some(seconds), Some(rate), 1..) = (refused.retry_after_seconds, &refused.rate_limit, passed) else {
            let expected = format!("some to pass, then {EXHAUSTED} with Retry-After and X-RateLimit-*");
            return Err(Failed::new(step, expected, format!("{passed} passed, then {refused:?}")));
        };
        let told = format!("Retry-After: {seconds}, X-RateLimit-Limit: {}, -Remaining: {}", rate.limit, rate.remaining);
        self.narrator.held(step, &format!("{passed} passed, then {EXHAUSTED} ({}, {told})", refused.http_status));
        Ok(())
    }
}
