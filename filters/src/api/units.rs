//! Values with units, as operators write them: `250ms`, `64KiB`, `20/1s`.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{borrow::Cow, fmt, str::FromStr, time};

/// What is wrong with a written value, and how to write it right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnitProblem(pub String);

/// Declares how a value with a unit is read from and written to a string.
macro_rules! written_as_string {
    ($type:ident, $name:literal, $pattern:literal, $example:literal) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "format": $name, "pattern": $pattern, "examples": [$example] })
            }
        }
    };
}

/// A length of time: a whole number and one of `ms`, `s`, `m`, `h`, `d`. At most 365 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(time::Duration);

/// A number of bytes: a whole number and one of `B`, `KiB`, `MiB`, `GiB`. At most 1 TiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(u64);

/// So many requests in so long: `20/1s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    limit: u64,
    window: Duration,
}

written_as_string!(Duration, "duration", "^[0-9]+(ms|s|m|h|d)$", "250ms");
written_as_string!(Size, "size", "^[0-9]+(B|KiB|MiB|GiB)$", "64KiB");
written_as_string!(Rate, "rate", "^[0-9]+/[0-9]+(ms|s|m|h|d)$", "20/1s");

const DURATION_MAX_MS: u64 = 365 * 86_400_000;
const SIZE_MAX: u64 = 1 << 40;

impl Duration {
    /// From milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(time::Duration::from_millis(millis))
    }

    /// From seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(time::Duration::from_secs(seconds))
    }

    /// As the standard library's type.
    #[must_use]
    pub const fn get(self) -> time::Duration {
        self.0
    }
}

impl Size {
    /// From bytes.
    #[must_use]
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// In bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl Rate {
    /// So many requests, at least one.
    #[must_use]
    pub const fn limit(self) -> u64 {
        self.limit
    }

    /// In so long, more than nothing.
    #[must_use]
    pub const fn window(self) -> time::Duration {
        self.window.get()
    }
}

impl FromStr for Duration {
    type Err = UnitProblem;

    fn from_str(written: &str) -> Result<Self, UnitProblem> {
        let wrong = || {
            UnitProblem(format!(
                "`{written}` is no duration: write a whole number and a unit, such as 250ms, 5s, 2m, 1h or 7d"
            ))
        };
        let (number, unit) = split(written).ok_or_else(wrong)?;
        let factor = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        number
            .checked_mul(factor)
            .filter(|millis| *millis <= DURATION_MAX_MS)
            .map(Self::from_millis)
            .ok_or_else(|| UnitProblem(format!("`{written}` is too long: the most is 365d")))
    }
}

impl FromStr for Size {
    type Err = UnitProblem;

    fn from_str(written: &str) -> Result<Self, UnitProblem> {
        let wrong = || {
            UnitProblem(format!(
                "`{written}` is no size: write a whole number and a unit, such as 512B, 64KiB, 1MiB or 1GiB"
            ))
        };
        let (number, unit) = split(written).ok_or_else(wrong)?;
        let factor = match unit {
            "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return Err(wrong()),
        };
        number
            .checked_mul(factor)
            .filter(|bytes| *bytes <= SIZE_MAX)
            .map(Self)
            .ok_or_else(|| UnitProblem(format!("`{written}` is too large: the most is 1024GiB")))
    }
}

impl FromStr for Rate {
    type Err = UnitProblem;

    fn from_str(written: &str) -> Result<Self, UnitProblem> {
        let wrong = || UnitProblem(format!("`{written}` is no rate: write requests/window, such as 20/1s or 300/1h"));
        let (limit, window) = written.split_once('/').ok_or_else(wrong)?;
        let limit = limit.parse().ok().filter(|_| limit.bytes().all(|b| b.is_ascii_digit())).ok_or_else(wrong)?;
        let window: Duration = window.parse().map_err(|_| wrong())?;
        if limit == 0 || window.get().is_zero() {
            return Err(UnitProblem(format!("`{written}` allows nothing: both numbers must be at least 1")));
        }
        Ok(Self { limit, window })
    }
}

fn split(written: &str) -> Option<(u64, &str)> {
    let digits = written.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = written.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit))
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
        match units.iter().find(|(factor, _)| millis > 0 && millis % factor == 0) {
            Some((factor, unit)) => write!(f, "{}{unit}", millis / factor),
            None => write!(f, "{millis}ms"),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        match units.iter().find(|(factor, _)| self.0 > 0 && self.0.is_multiple_of(*factor)) {
            Some((factor, unit)) => write!(f, "{}{unit}", self.0 / factor),
            None => write!(f, "{}B", self.0),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.limit, self.window)
    }
}
