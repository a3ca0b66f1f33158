//! What to do about a refusal that would only come again.

use crate::client::Refused;

/// What to do, where the same subscription would be refused again; `None` where it may pass later.
pub(super) fn remedy(refused: &Refused) -> Option<&'static str> {
    let Some(reason) = refused.reason.as_deref() else {
        return (!may_pass(refused)).then_some("read the message: the same subscription would be refused again");
    };
    Some(match reason {
        "SESSION_REVOKED" => "sign the device in again: its session is over",
        "SESSION_UNKNOWN" => "sign the device in: the backend has no such session",
        "SIGNATURE_INVALID" => "give the device file the key that the session was opened with",
        "REQUEST_STALE" => "set this machine's clock",
        "PROTOCOL_VERSION_UNSUPPORTED" => "use the version of portcullis that this gateway has",
        "MESSAGE_TYPE_UNKNOWN" | "NOT_SERVED" => "give the gateway's edge route `events: NAME`",
        "ROUTE_UNKNOWN" | "METHOD_NOT_ALLOWED" | "MEDIA_TYPE_UNSUPPORTED" => "let --to name the edge listener",
        "PAYLOAD_INVALID" | "MESSAGE_TOO_LARGE" | "BODY_TOO_LARGE" => "look at --type and --resume-after",
        "ADDRESS_FORBIDDEN" => "call from an address that the gateway's route allows",
        _ if may_pass(refused) => return None,
        _ => "read the message: the same subscription would be refused again",
    })
}

/// By its code, or, of a problem document, by its status.
fn may_pass(refused: &Refused) -> bool {
    match refused.code.as_str() {
        // Each try has an id of its own: it was refused because the store could not know that.
        "already_exists" => true,
        "unavailable" | "resource_exhausted" | "deadline_exceeded" | "aborted" | "canceled" | "internal" => true,
        _ => matches!(refused.http_status, 408 | 429 | 500..),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use filters::api::{Reason, RpcCode};

    fn refused(code: &str, reason: Option<&str>, http_status: u16) -> Refused {
        Refused {
            code: code.to_owned(),
            reason: reason.map(str::to_owned),
            message: String::new(),
            retry_after_seconds: None,
            rate_limit: None,
            http_status,
        }
    }

    #[test]
    fn every_reason_has_a_remedy_or_may_pass() {
        for reason in Reason::ALL {
            let (code, may_pass) = match reason.rpc_code() {
                RpcCode::Unavailable => ("unavailable", true),
                RpcCode::DeadlineExceeded => ("deadline_exceeded", true),
                RpcCode::AlreadyExists => ("already_exists", true),
                RpcCode::Internal => ("internal", true),
                RpcCode::ResourceExhausted => {
                    ("resource_exhausted", !matches!(reason, Reason::MessageTooLarge | Reason::BodyTooLarge))
                }
                RpcCode::InvalidArgument => ("invalid_argument", false),
                RpcCode::PermissionDenied => ("permission_denied", false),
                RpcCode::FailedPrecondition => ("failed_precondition", false),
                RpcCode::Unimplemented => ("unimplemented", false),
                RpcCode::Unauthenticated => ("unauthenticated", false),
            };
            let came = remedy(&refused(code, Some(reason.as_str()), 200));
            assert_eq!(came.is_none(), may_pass, "{reason:?}: {came:?}");
        }
    }

    #[test]
    fn what_has_no_reason_is_judged_by_its_code_or_status() {
        fn check(code: &str, http_status: u16, may_pass: bool) {
            assert_eq!(remedy(&refused(code, None, http_status)).is_none(), may_pass, "{code} {http_status}");
        }
        check("unavailable", 200, true);
        check("not_found", 200, false);
        check("Not Found", 404, false);
        check("Bad Gateway", 502, true);
        check("Too Many Requests", 429, true);
    }
}
