//! Configuration that may be written short, as a name or a list, or long, as a map.
//!
//! serde's untagged enums would do, but they answer every mistake with "did not match any variant"; this
//! keeps the message, and with it the line, of the form that the operator has chosen.

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Unexpected, Visitor, value},
};
use std::fmt;

/// The forms in which a `T` may be written: a name, a list `L`, a map `M`.
pub(crate) struct Forms<L, M, T> {
    expected: &'static str,
    name: fn(String) -> T,
    list: Option<fn(L) -> T>,
    map: Option<fn(M) -> T>,
}

impl<L, M, T> Forms<L, M, T> {
    /// A name or a list or a map; `expected` completes "invalid type: …, expected …".
    pub(crate) fn new(expected: &'static str, name: fn(String) -> T, list: fn(L) -> T, map: fn(M) -> T) -> Self {
        Self { expected, name, list: Some(list), map: Some(map) }
    }

    /// Reads whichever form it is.
    pub(crate) fn read<'de, D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error>
    where
        L: Deserialize<'de>,
        M: Deserialize<'de>,
    {
        deserializer.deserialize_any(self)
    }
}

impl<M, T> Forms<(), M, T> {
    /// A name or a map.
    pub(crate) fn without_list(expected: &'static str, name: fn(String) -> T, map: fn(M) -> T) -> Self {
        Self { expected, name, list: None, map: Some(map) }
    }
}

impl<L, T> Forms<L, serde::de::IgnoredAny, T> {
    /// A name or a list.
    pub(crate) fn without_map(expected: &'static str, name: fn(String) -> T, list: fn(L) -> T) -> Self {
        Self { expected, name, list: Some(list), map: None }
    }
}

impl<'de, L: Deserialize<'de>, M: Deserialize<'de>, T> Visitor<'de> for Forms<L, M, T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<T, E> {
        Ok((self.name)(name.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<T, A::Error> {
        let Some(from_list) = self.list else {
            return Err(A::Error::invalid_type(Unexpected::Seq, &self));
        };
        L::deserialize(value::SeqAccessDeserializer::new(list)).map(from_list)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        let Some(from_map) = self.map else {
            return Err(A::Error::invalid_type(Unexpected::Map, &self));
        };
        M::deserialize(value::MapAccessDeserializer::new(map)).map(from_map)
    }
}
