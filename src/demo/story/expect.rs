//! Holding what came against what was promised.

use super::Failed;
use crate::client::{Answer, CallError, Device, Refused, Reply};
use proto::edge::v1::ExecuteCommandRequest;
use serde_json::Value;

impl Failed {
    pub(super) fn new(step: &str, expected: impl Into<String>, came: impl Into<String>) -> Self {
        Self { step: step.to_owned(), expected: expected.into(), came: came.into() }
    }

    /// A step that could not even be tried.
    pub(in crate::demo) fn fault(step: &str, fault: &impl ToString) -> Self {
        Self::new(step, "to get as far as asking", fault.to_string())
    }
}

/// The payload of an answer that verifies and has this result code.
pub(super) fn answered(
    step: &str,
    result_code: &str,
    device: &Device,
    request: &ExecuteCommandRequest,
    came: Result<Answer, CallError>,
) -> Result<Value, Failed> {
    let expected = || format!("a signed answer with result_code {result_code:?}");
    let response = came.map_err(|fault| Failed::new(step, expected(), fault.to_string()))?.response;
    device.verify(request, &response).map_err(|fault| Failed::new(step, expected(), fault.to_string()))?;
    if response.result_code != result_code {
        return Err(Failed::new(step, expected(), format!("result_code {:?}", response.result_code)));
    }
    serde_json::from_slice(&response.payload_bytes)
        .map_err(|fault| Failed::new(step, "a JSON payload", fault.to_string()))
}

/// The refusal, where it is one with this code and reason.
pub(super) fn refused(
    step: &str,
    (code, reason): (&str, &str),
    came: Result<Answer, CallError>,
) -> Result<Refused, Failed> {
    match came {
        Err(fault) => ended(step, (code, reason), fault),
        Ok(answer) => {
            let came = format!("an answer, {:?}", answer.response.result_code);
            Err(Failed::new(step, format!("{code} with reason {reason}"), came))
        }
    }
}

/// The refusal that a call or a stream has ended with, where it is one with this code and reason.
pub(super) fn ended(step: &str, (code, reason): (&str, &str), fault: CallError) -> Result<Refused, Failed> {
    match fault {
        CallError::Refused(refused) if refused.code == code && refused.reason.as_deref() == Some(reason) => {
            Ok(*refused)
        }
        fault => Err(Failed::new(step, format!("{code} with reason {reason}"), fault.to_string())),
    }
}

/// The problem document, where the gateway itself gave one with one of these reasons.
pub(super) fn problem(step: &str, reasons: &[&str], came: Result<Reply, CallError>) -> Result<Refused, Failed> {
    let expected = || format!("a problem document with reason {}", reasons.join(" or "));
    let reply = came.map_err(|fault| Failed::new(step, expected(), fault.to_string()))?;
    Refused::from_problem(reply.status, &reply.headers, &reply.body)
        .filter(|refused| refused.reason.as_deref().is_some_and(|reason| reasons.contains(&reason)))
        .ok_or_else(|| Failed::new(step, expected(), shown(&reply)))
}

/// The JSON body of a reply with this status.
pub(super) fn json(step: &str, status: u16, came: Result<Reply, CallError>) -> Result<Value, Failed> {
    let expected = || format!("status {status} with JSON");
    let reply = came.map_err(|fault| Failed::new(step, expected(), fault.to_string()))?;
    let body = (reply.status == status).then(|| serde_json::from_slice(&reply.body).ok()).flatten();
    body.ok_or_else(|| Failed::new(step, expected(), shown(&reply)))
}

/// A text field of a JSON object.
pub(super) fn text(step: &str, object: &Value, field: &str) -> Result<String, Failed> {
    let text = object.get(field).and_then(Value::as_str).map(str::to_owned);
    text.ok_or_else(|| Failed::new(step, format!("a field {field:?}"), object.to_string()))
}

/// Where two values must be the same.
pub(super) fn same(step: &str, expected: &Value, came: &Value) -> Result<(), Failed> {
    if expected == came { Ok(()) } else { Err(Failed::new(step, expected.to_string(), came.to_string())) }
}

/// Enough of a reply to recognise it.
fn shown(reply: &Reply) -> String {
    let body: String = String::from_utf8_lossy(&reply.body).chars().take(200).collect();
    format!("status {} with {body:?}", reply.status.as_u16())
}
