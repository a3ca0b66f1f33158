//! How the gateway names itself to whoever a request comes to next (RFC 9110 section 7.6.3).

use http::{HeaderValue, Version, header::InvalidHeaderValue};
use memchr::memmem;
use std::sync::LazyLock;

/// Tells this process from others that use the same pseudonym: a request may well pass two gateways.
static INSTANCE: LazyLock<String> = LazyLock::new(|| format!("{:016x}", fastrand::u64(..)));

/// What `Via` says of this process: `1.1 portcullis (0123456789abcdef)`.
#[derive(Debug, Clone)]
pub struct Via {
    /// Without the version of the protocol. A value that has it has been here.
    mark: String,
    http10: HeaderValue,
    http11: HeaderValue,
    http2: HeaderValue,
}

impl Via {
    /// By this pseudonym, as this process.
    ///
    /// # Errors
    /// Where the pseudonym is no part of a header.
    pub fn here(pseudonym: &str) -> Result<Self, InvalidHeaderValue> {
        Self::new(format!("{pseudonym} ({})", *INSTANCE))
    }

    /// By this pseudonym alone, for requests that are only tried.
    ///
    /// # Errors
    /// Where the pseudonym is no part of a header.
    pub fn nowhere(pseudonym: &str) -> Result<Self, InvalidHeaderValue> {
        Self::new(pseudonym.to_owned())
    }

    fn new(mark: String) -> Result<Self, InvalidHeaderValue> {
        let value = |version: &str| HeaderValue::try_from(format!("{version} {mark}"));
        Ok(Self { http10: value("1.0")?, http11: value("1.1")?, http2: value("2.0")?, mark })
    }

    /// What is added for a request that came in this version.
    #[must_use]
    pub fn value(&self, received: Version) -> HeaderValue {
        match received {
            Version::HTTP_10 => self.http10.clone(),
            Version::HTTP_2 => self.http2.clone(),
            _ => self.http11.clone(),
        }
    }

    /// Whether a request with this `Via` has passed this process already.
    #[must_use]
    pub fn is_in(&self, value: &HeaderValue) -> bool {
        memmem::find(value.as_bytes(), self.mark.as_bytes()).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_its_own_mark_and_no_other() {
        let here = Via::here("portcullis").unwrap();
        let sent = here.value(Version::HTTP_2);
        assert!(sent.to_str().unwrap().starts_with("2.0 portcullis ("), "{sent:?}");
        let passed_on = format!("1.0 fred, {}, 1.1 nowhere.example", sent.to_str().unwrap());
        assert!(here.is_in(&passed_on.parse().unwrap()));
        for other in ["1.1 portcullis", "1.1 portcullis (0123456789abcdef)", "portcullis"] {
            assert!(!here.is_in(&HeaderValue::from_static(other)), "{other}");
        }
    }
}
