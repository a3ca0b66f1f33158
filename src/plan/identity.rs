//! Headers that only the gateway may write.

use filters::api::folded;
use http::HeaderName;

/// Carries the gateway's id of a request to the backend of a command.
pub const GATEWAY_REQUEST_ID: HeaderName = HeaderName::from_static("x-gateway-request-id");

/// Names that are dropped from outside, in every spelling that a backend could take for them.
///
/// CGI, WSGI and PHP backends read `X_User_Id`, `X-User-Id` and `x.user.id` as one variable (RFC 3875
/// section 4.1.18), so a client that may send any of them could speak as somebody else.
#[derive(Debug, Clone, Default)]
pub struct IdentityHeaders(Vec<Vec<u8>>);

impl IdentityHeaders {
    /// Of these names, in any case, and of [`GATEWAY_REQUEST_ID`].
    #[must_use]
    pub fn new(names: &[String]) -> Self {
        let own = GATEWAY_REQUEST_ID;
        let names = names.iter().map(String::as_str).chain([own.as_str()]);
        Self(names.map(|name| name.bytes().map(folded).collect()).collect())
    }

    /// Whether `name` is one of them.
    #[must_use]
    pub fn covers(&self, name: &HeaderName) -> bool {
        self.has(name.as_str().as_bytes())
    }

    fn has(&self, name: &[u8]) -> bool {
        self.0
            .iter()
            .any(|known| known.len() == name.len() && name.iter().map(|byte| folded(*byte)).eq(known.iter().copied()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_that_a_backend_could_fold_is_found() {
        let identity = IdentityHeaders::new(&["X-User-Id".to_owned()]);
        for (name, expected) in [
            ("x-user-id", true),
            ("x_user_id", true),
            ("x-user_id", true),
            ("x.user.id", true),
            ("x-user-ids", false),
            ("x-user", false),
            ("xxuserxid", false),
            ("x-gateway_request-id", true),
        ] {
            assert_eq!(identity.covers(&name.parse().unwrap()), expected, "{name}");
        }
    }
}
