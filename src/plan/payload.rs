//! The fields of a command's payload, as they go into a path or a query.

use filters::body::json;
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{borrow::Cow, collections::BTreeMap, fmt};

/// The fields of a JSON object by their names.
#[derive(Debug, Default)]
pub(super) struct Fields<'a>(BTreeMap<String, Field<'a>>);

/// A field's value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Field<'a> {
    /// No value.
    Null,
    /// A string decoded, a number or a truth value as it was written: a backend's ids may have more digits than
    /// any type of ours, and `1.50` may be a version.
    Scalar(Cow<'a, str>),
    /// An array or an object.
    Composite,
}

impl<'a> Fields<'a> {
    /// Reads a payload; nothing of `None` where it is JSON but no object.
    ///
    /// # Errors
    /// What is wrong and where: as [`json::parse`], except that a number may be as large as it likes.
    pub(super) fn read(payload: &'a [u8]) -> Result<Option<Self>, String> {
        if payload.trim_ascii_start().first() != Some(&b'{') {
            return json::parse(payload).map(|_| None);
        }
        serde_json::from_slice(payload)
            .map(Some)
            .map_err(|fault| format!("the payload is not acceptable JSON: {fault}"))
    }

    /// The field of this name.
    pub(super) fn get(&self, name: &str) -> Option<&Field<'a>> {
        self.0.get(name)
    }

    /// All of them, in the order of their names.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Field<'a>)> {
        self.0.iter().map(|(name, field)| (name.as_str(), field))
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    if fields.insert(name, Field::of(value.get()).map_err(A::Error::custom)?).is_some() {
                        return Err(A::Error::custom("a name occurs twice in an object"));
                    }
                }
                Ok(Fields(fields))
            }
        }
        json.deserialize_map(Object)
    }
}

impl<'a> Field<'a> {
    /// Of a value that is known to be JSON, but for what lies within a string, an array or an object.
    fn of(raw: &'a str) -> Result<Self, String> {
        match raw.as_bytes().first() {
            Some(b'n') => Ok(Self::Null),
            Some(b'"') => match serde_json::from_str::<&str>(raw) {
                Ok(text) => Ok(Self::Scalar(Cow::Borrowed(text))),
                // One with escapes cannot be borrowed.
                Err(_) => {
                    serde_json::from_str(raw).map(Cow::Owned).map(Self::Scalar).map_err(|fault| fault.to_string())
                }
            },
            Some(b'[' | b'{') => json::parse(raw.as_bytes()).map(|_| Self::Composite),
            _ => Ok(Self::Scalar(Cow::Borrowed(raw))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(value: &str) -> String {
        match Fields::read(format!(r#"{{ "x" : {value} }}"#).as_bytes()).map(|fields| fields.unwrap()) {
            Ok(fields) => format!("{:?}", fields.get("x").unwrap()),
            Err(_) => "refused".to_owned(),
        }
    }

    #[test]
    fn scalars_are_as_they_were_written() {
        for literal in [
            "18446744073709551616",
            "12345678901234567890123",
            "1e2",
            "1E+2",
            "-0",
            "1.50",
            "0.0",
            "1e999",
            "true",
            "7",
        ] {
            assert_eq!(field(literal), format!("Scalar({literal:?})"));
        }
        for (value, expected) in [
            (r#""a b""#, r#"Scalar("a b")"#),
            (r#""\u0061\n""#, r#"Scalar("a\n")"#),
            (r#""""#, r#"Scalar("")"#),
            ("null", "Null"),
            ("[]", "Composite"),
            (r#"{"a":[1]}"#, "Composite"),
        ] {
            assert_eq!(field(value), expected, "{value}");
        }
    }

    #[test]
    fn what_json_refuses_is_refused_at_any_depth() {
        let too_deep = ["[".repeat(128), "]".repeat(128)].concat();
        for value in [
            "01",
            "+1",
            "1.",
            ".5",
            "NaN",
            "tru",
            r#""\ud800""#,
            "\"\n\"",
            r#"{"a":1,"a":2}"#,
            "[1,]",
            &too_deep,
            "1 2",
        ] {
            assert_eq!(field(value), "refused", "{value}");
        }
        for payload in [r#"{"a":1,"\u0061":2}"#, r#"{"a":1,}"#, "{} {}", "{", "", "\u{feff}{}"] {
            assert!(Fields::read(payload.as_bytes()).is_err(), "{payload}");
        }
        assert!(Fields::read(b"{\"a\":\"\xff\"}").is_err());
    }

    #[test]
    fn what_is_no_object_has_no_fields() {
        for payload in ["[1]", "5", "null", "\"a\""] {
            assert!(Fields::read(payload.as_bytes()).unwrap().is_none(), "{payload}");
        }
    }
}
