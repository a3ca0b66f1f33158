//! Protobuf's JSON mapping, as far as the messages of the edge API need it: names in camelCase or as in the
//! `.proto`, unknown fields ignored, no field twice, `null` for the default value, which is not written.

use serde::{Deserialize, Deserializer, de::Error as _};

/// Reads one message.
///
/// # Errors
/// Where it is no JSON object, or a field does not fit. The text says where and never repeats a string.
pub fn read<'de, T: Deserialize<'de>>(json: &'de [u8]) -> Result<T, serde_json::Error> {
    // serde would also take an array, for the fields in their order.
    match json.trim_ascii_start().first() {
        Some(b'{') => serde_json::from_slice(json),
        _ => Err(serde_json::Error::custom("a message is a JSON object")),
    }
}

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

pub(crate) fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(json: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(json)?.unwrap_or_default())
}

/// A string or a number; written as a string, because JavaScript's numbers are doubles.
pub(crate) mod int64 {
    use serde::{Deserializer, Serializer, de};
    use std::fmt;

    /// Up to here a double holds every integer. Beyond, `1e17` may be meant for one that it is not.
    const DOUBLE_MAX: f64 = 9_007_199_254_740_992.0;

    pub(crate) fn serialize<S: Serializer>(value: &i64, json: S) -> Result<S::Ok, S::Error> {
        json.collect_str(value)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(json: D) -> Result<i64, D::Error> {
        json.deserialize_any(Int64)
    }

    struct Int64;

    impl de::Visitor<'_> for Int64 {
        type Value = i64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a 64-bit integer, as a number or a string")
        }

        fn visit_unit<E>(self) -> Result<i64, E> {
            Ok(0)
        }

        fn visit_i64<E>(self, value: i64) -> Result<i64, E> {
            Ok(value)
        }

        fn visit_u64<E: de::Error>(self, value: u64) -> Result<i64, E> {
            value.try_into().map_err(|_| E::custom("an integer is out of range"))
        }

        fn visit_f64<E: de::Error>(self, value: f64) -> Result<i64, E> {
            if value.fract() == 0.0 && value.abs() <= DOUBLE_MAX {
                return Ok(value as i64);
            }
            Err(E::custom("a number is no integer, or too large for its form"))
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<i64, E> {
            if let Ok(value) = text.parse() {
                return Ok(value);
            }
            // Only a number's characters: Rust's own parser would also take names such as `inf`.
            let is_number = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
            match text.parse() {
                Ok(value) if is_number && !text.bytes().all(|byte| byte.is_ascii_digit()) => self.visit_f64(value),
                _ => Err(E::custom("a string holds no 64-bit integer")),
            }
        }
    }
}

/// Base64, read in the standard and the URL-safe alphabet, padded or not; written in the standard one, padded.
pub(crate) mod base64 {
    use base64::{
        Engine as _,
        alphabet::{Alphabet, STANDARD, URL_SAFE},
        engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
    };
    use prost::bytes::Bytes;
    use serde::{Deserializer, Serializer, de};
    use std::fmt;

    const STANDARD_ENGINE: GeneralPurpose = engine(&STANDARD);
    const URL_SAFE_ENGINE: GeneralPurpose = engine(&URL_SAFE);

    const fn engine(alphabet: &Alphabet) -> GeneralPurpose {
        let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        GeneralPurpose::new(alphabet, config)
    }

    pub(crate) fn serialize<S: Serializer>(value: &Bytes, json: S) -> Result<S::Ok, S::Error> {
        json.serialize_str(&STANDARD_ENGINE.encode(value))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(json: D) -> Result<Bytes, D::Error> {
        json.deserialize_any(Base64)
    }

    struct Base64;

    impl de::Visitor<'_> for Base64 {
        type Value = Bytes;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string of base64")
        }

        fn visit_unit<E>(self) -> Result<Bytes, E> {
            Ok(Bytes::new())
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Bytes, E> {
            let is_url_safe = text.bytes().any(|byte| matches!(byte, b'-' | b'_'));
            let engine = if is_url_safe { URL_SAFE_ENGINE } else { STANDARD_ENGINE };
            engine.decode(text).map(Bytes::from).map_err(|_| E::custom("a string is no base64"))
        }
    }
}
