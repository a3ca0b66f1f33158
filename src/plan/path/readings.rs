//! The paths that backends could take an ambiguous one for.
//!
//! Backends differ in how often they decode, in whether an escaped slash separates segments, and in whether they merge
//! slashes. Path parameters (`;`) would add a fourth difference, so an ambiguous path must not have any.

use super::{
    decode::{check_characters, check_segment, hex},
    malformed,
};
use filters::api::Refusal;

/// More escapes within escapes are refused: nobody needs a third.
const DECODED_MAX: usize = 3;

/// What an escaped slash is to a reader.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Slash {
    /// A character of its segment.
    Data,
    /// The end of its segment.
    Separator,
}

/// Decodes until nothing is left to decode, and merges slashes.
///
/// # Errors
/// `REQUEST_MALFORMED` where a reading on the way holds what no path may hold.
pub(super) fn innermost(encoded: &str) -> Result<String, Refusal> {
    let mut path = encoded.to_owned();
    for _ in 0..=DECODED_MAX {
        path = decode(&path, Slash::Separator).ok_or_else(|| malformed("the path is not UTF-8"))?;
        check_characters(&path)?;
        path.split('/').skip(1).try_for_each(check_segment)?;
        if path.contains(';') {
            return Err(malformed(
                "the path has parameters beside an encoded slash, an empty segment or an escaped escape",
            ));
        }
        if decode(&path, Slash::Separator).as_deref() == Some(path.as_str()) {
            return Ok(merged(&path));
        }
    }
    Err(malformed("the path is escaped too often"))
}

/// Lists every reading of a path that [`innermost`] takes.
pub(super) fn all(encoded: &str) -> Vec<String> {
    let mut readings = Vec::new();
    let mut separated = encoded.to_owned();
    for separating in 0..=DECODED_MAX {
        let mut path = separated.clone();
        for _ in separating..=DECODED_MAX {
            let Some(next) = decode(&path, Slash::Data) else { break };
            path = next;
            for reading in [merged(&path), path.clone()] {
                if !readings.contains(&reading) {
                    readings.push(reading);
                }
            }
        }
        let Some(next) = decode(&separated, Slash::Separator) else { break };
        separated = next;
    }
    readings
}

/// Decodes once; what is no escape stands for itself.
fn decode(path: &str, slash: Slash) -> Option<String> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        let escaped = match rest {
            [b'%', high, low, behind @ ..] => hex(*high).zip(hex(*low)).map(|(high, low)| (high << 4 | low, behind)),
            _ => None,
        };
        match escaped {
            Some((b'/', behind)) if slash == Slash::Data => {
                decoded.extend_from_slice(b"%2F");
                rest = behind;
            }
            Some((escaped, behind)) => {
                decoded.push(escaped);
                rest = behind;
            }
            None => {
                decoded.push(*byte);
                rest = behind;
            }
        }
    }
    String::from_utf8(decoded).ok()
}

fn merged(path: &str) -> String {
    let mut merged = String::with_capacity(path.len());
    for character in path.chars() {
        if character != '/' || !merged.ends_with('/') {
            merged.push(character);
        }
    }
    merged
}
