//! How long a caller gives a call.

use std::time::Duration;

/// gRPC allows this many digits, and a unit.
const GRPC_DIGITS_MAX: usize = 8;
/// Connect allows this many digits of milliseconds.
const CONNECT_DIGITS_MAX: usize = 10;

/// A time-out that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the time-out is malformed")]
pub struct TimeoutFault;

/// `grpc-timeout`: up to eight digits and one of `H`, `M`, `S`, `m`, `u`, `n` (PROTOCOL-HTTP2).
///
/// # Errors
/// Where it is anything else.
pub fn read_grpc(value: &[u8]) -> Result<Duration, TimeoutFault> {
    let (unit, digits) = value.split_last().ok_or(TimeoutFault)?;
    let number = number(digits, GRPC_DIGITS_MAX)?;
    Ok(match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return Err(TimeoutFault),
    })
}

/// `connect-timeout-ms`: up to ten digits.
///
/// # Errors
/// Where it is anything else.
pub fn read_connect(value: &[u8]) -> Result<Duration, TimeoutFault> {
    number(value, CONNECT_DIGITS_MAX).map(Duration::from_millis)
}

fn number(digits: &[u8], digits_max: usize) -> Result<u64, TimeoutFault> {
    if digits.is_empty() || digits.len() > digits_max || !digits.iter().all(u8::is_ascii_digit) {
        return Err(TimeoutFault);
    }
    Ok(digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

/// A time as `grpc-timeout`, in the finest unit that eight digits can hold; rounded down, so that whoever is asked
/// gives up no later than who asks.
#[must_use]
pub fn write_grpc(left: Duration) -> String {
    const MOST: u128 = 99_999_999;
    let nanos = left.as_nanos();
    let units = [('n', 1), ('u', 1_000), ('m', 1_000_000), ('S', 1_000_000_000), ('M', 60_000_000_000)];
    for (unit, length) in units {
        if nanos / length <= MOST {
            return format!("{}{unit}", nanos / length);
        }
    }
    format!("{}H", (nanos / 3_600_000_000_000).min(MOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_digits_and_a_unit() {
        for (value, expected) in [
            ("1S", Ok(Duration::from_secs(1))),
            ("99999999H", Ok(Duration::from_secs(99_999_999 * 3600))),
            ("0n", Ok(Duration::ZERO)),
            ("250m", Ok(Duration::from_millis(250))),
            ("7u", Ok(Duration::from_micros(7))),
            ("2M", Ok(Duration::from_secs(120))),
            ("100000000S", Err(TimeoutFault)),
            ("S", Err(TimeoutFault)),
            ("1", Err(TimeoutFault)),
            ("-1S", Err(TimeoutFault)),
            ("1 S", Err(TimeoutFault)),
            ("1s", Err(TimeoutFault)),
            ("", Err(TimeoutFault)),
        ] {
            assert_eq!(read_grpc(value.as_bytes()), expected, "{value}");
        }
        for (value, expected) in [
            ("0", Ok(Duration::ZERO)),
            ("9999999999", Ok(Duration::from_millis(9_999_999_999))),
            ("10000000000", Err(TimeoutFault)),
            ("1.5", Err(TimeoutFault)),
            ("+1", Err(TimeoutFault)),
            ("", Err(TimeoutFault)),
        ] {
            assert_eq!(read_connect(value.as_bytes()), expected, "{value}");
        }
    }

    #[test]
    fn what_is_written_is_never_longer() {
        for (left, expected) in [
            (Duration::ZERO, "0n"),
            (Duration::from_nanos(99_999_999), "99999999n"),
            (Duration::from_nanos(100_000_999), "100000u"),
            (Duration::from_secs(15), "15000000u"),
            (Duration::from_secs(99_999), "99999000m"),
            (Duration::from_millis(100_000_001), "100000S"),
            (Duration::from_secs(99_999_999), "99999999S"),
            (Duration::from_secs(u64::MAX), "99999999H"),
        ] {
            let written = write_grpc(left);
            assert_eq!(written, expected);
            assert!(read_grpc(written.as_bytes()).unwrap() <= left, "{written}");
        }
    }
}
