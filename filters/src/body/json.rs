//! JSON without ambiguity: every name of an object once.

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value, map::Entry};
use std::fmt;

/// Reads one document.
///
/// # Errors
/// What is wrong and where, without the document's own text: it is not JSON (RFC 8259), not UTF-8, has
/// anything behind its end, a name twice in one object (compared as decoded, at any depth), a number that
/// fits no double, or more than 127 levels (serde_json's limit, which holds for any deserializer on it).
pub(super) fn parse(document: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(document).map_err(|fault| format!("the body is not UTF-8: {fault}"))?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Unambiguous.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    value.map_err(|fault| format!("the body is not acceptable JSON: {fault}"))
}

/// As `serde_json::Value` reads itself, except for names that occur twice, of which it takes the last.
struct Unambiguous;

impl<'de> DeserializeSeed<'de> for Unambiguous {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unambiguous {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number is out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(Self)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            match object.entry(name) {
                Entry::Vacant(vacant) => vacant.insert(map.next_value_seed(Self)?),
                Entry::Occupied(_) => return Err(A::Error::custom("a name occurs twice in an object")),
            };
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn duplicates_are_found_as_decoded_and_at_any_depth() {
        for (document, is_unambiguous) in [
            (r#"{"a":1,"b":2}"#, true),
            (r#"{"a":1,"A":2}"#, true),
            (r#"{"a":{"a":1},"b":[{"a":1},{"a":1}]}"#, true),
            (r#"{"a":1,"a":1}"#, false),
            (r#"{"a":1,"\u0061":1}"#, false),
            (r#"{"a":1,"b":1,"c":1,"a":null}"#, false),
            (r#"{"a":{"b":1,"b":2}}"#, false),
            (r#"[{"a":[{"b":1,"b":2}]}]"#, false),
            (r#"{"":1,"":2}"#, false),
        ] {
            assert_eq!(parse(document.as_bytes()).is_ok(), is_unambiguous, "{document}");
        }
    }

    #[test]
    fn what_is_not_json_is_refused() {
        let deepest = ["[".repeat(127), "]".repeat(127)].concat();
        assert!(parse(deepest.as_bytes()).is_ok());
        let too_deep = ["[".repeat(128), "]".repeat(128)].concat();
        let objects_too_deep = [r#"{"a":"#.repeat(128), "1".to_owned(), "}".repeat(128)].concat();
        for document in [
            b"".as_slice(),
            b"\xef\xbb\xbf{}",
            b"\"\xff\"",
            b"\"\xc0\x80\"",
            b"\"\\ud800\"",
            b"{} x",
            b"{}\0",
            b"{'a':1}",
            b"[1,]",
            b"{\"a\":1,}",
            b"// c\n1",
            b"NaN",
            b"01",
            b"+1",
            b"1e999",
            b"\"a\nb\"",
            too_deep.as_bytes(),
            objects_too_deep.as_bytes(),
        ] {
            assert!(parse(document).is_err(), "{}", String::from_utf8_lossy(document));
        }
    }

    /// Documents as serde_json writes them: objects are maps, so no name occurs twice.
    fn documents() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        scalar.prop_recursive(5, 40, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::btree_map(".{0,3}", inner, 0..6)
                    .prop_map(|object| Value::Object(object.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_reads_as_serde_json_does(document in documents()) {
            let text = document.to_string();
            prop_assert_eq!(parse(text.as_bytes()).unwrap(), serde_json::from_str::<Value>(&text).unwrap());
        }

        #[test]
        fn it_takes_nothing_that_serde_json_refuses(text in r#"[\[\]{}",:0-9eE+.\-a-c \\u]{0,24}"#) {
            if let Ok(value) = parse(text.as_bytes()) {
                prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
            }
        }
    }
}
