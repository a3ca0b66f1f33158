//! A refusal as a problem document (RFC 9457), the one place where it becomes JSON.

use filters::api::Refusal;
use serde::Serialize;

/// The media type of what [`render`] writes.
pub const MEDIA_TYPE: &str = "application/problem+json";

#[derive(Serialize)]
struct Problem<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    reason: &'a str,
    request_id: &'a str,
    detail: &'a str,
}

/// The problem document of `refusal`, with the status that its reason has.
#[must_use]
pub fn render(refusal: &Refusal, request_id: &str) -> Vec<u8> {
    render_as(refusal.reason.http_status(), refusal, request_id)
}

/// The problem document of `refusal` for an answer whose status says more than its reason, such as 431 and 505
/// of `REQUEST_MALFORMED`: document and status line must not disagree (RFC 9457 section 3.1.2).
#[must_use]
pub fn render_as(status: u16, refusal: &Refusal, request_id: &str) -> Vec<u8> {
    let reason = refusal.reason.as_str();
    let problem = Problem {
        // `about:blank` would make every title the status phrase (RFC 9457 section 4.2.1).
        r#type: format!("urn:portcullis:reason:{reason}"),
        title: refusal.reason.title(),
        status,
        reason,
        request_id,
        detail: &refusal.detail,
    };
    // Strings and a number: there is nothing in it that JSON cannot hold.
    serde_json::to_vec(&problem).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use filters::api::Reason;

    #[test]
    fn a_problem_holds_every_field_of_the_contract_and_escapes_what_came_from_outside() {
        let refusal = Refusal::because(Reason::RequestMalformed, "line\nbreak \"quoted\"".to_owned());
        let problem: serde_json::Value = serde_json::from_slice(&render_as(431, &refusal, "req-1")).unwrap();
        assert_eq!(
            problem,
            serde_json::json!({
                "type": "urn:portcullis:reason:REQUEST_MALFORMED",
                "title": "The request is malformed",
                "status": 431,
                "reason": "REQUEST_MALFORMED",
                "request_id": "req-1",
                "detail": "line\nbreak \"quoted\"",
            })
        );
        let plain: serde_json::Value = serde_json::from_slice(&render(&refusal, "req-1")).unwrap();
        assert_eq!(plain["status"], 400);
    }
}
