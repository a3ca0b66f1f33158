//! A moment as both logs write it.

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use std::{
    fmt::{self, Display, Formatter},
    time::SystemTime,
};

/// A moment in Unix milliseconds, written as RFC 3339 has it, in UTC and with milliseconds:
/// `2026-12-01T09:30:00.125Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// This moment.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

impl Display for Timestamp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // A moment that no calendar has is one of a clock that is set wrong.
        let moment = DateTime::<Utc>::from_timestamp_secs(self.0.div_euclid(1000)).unwrap_or_default();
        write!(f, "{:?}.{:03}Z", moment.naive_utc(), self.0.rem_euclid(1000))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_always_three_digits_behind_its_seconds() {
        for (unix_ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_700_000_000_000, "2023-11-14T22:13:20.000Z"),
            (1_709_164_799_999, "2024-02-28T23:59:59.999Z"),
            (1_709_164_800_050, "2024-02-29T00:00:00.050Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Timestamp(unix_ms).to_string(), text);
            assert_eq!(serde_json::to_string(&Timestamp(unix_ms)).unwrap(), format!("\"{text}\""));
        }
        assert!(Timestamp(i64::MAX).to_string().ends_with('Z'));
    }
}
