//! From the tree to the typed configuration.

use super::{
    problem::Problem,
    scalar::Meaning,
    source::Config,
    tree::{Node, Value, join},
};
use serde::de::{
    Deserialize as _, Deserializer, Error as _, IntoDeserializer, Visitor,
    value::{Error, MapAccessDeserializer, MapDeserializer, SeqDeserializer},
};
use serde_path_to_error::Segment;

/// The configuration that a tree of the right shape is.
pub(super) fn typed(tree: &Node) -> Result<Config, Box<Problem>> {
    // To know the place of every value takes as long again, and hardly any tree of the right shape is refused.
    Config::deserialize(Reader(tree)).or_else(|_| placed(tree))
}

/// The same, which says where the culprit stands.
fn placed(tree: &Node) -> Result<Config, Box<Problem>> {
    serde_path_to_error::deserialize(tree.to_json()).map_err(|error| {
        let pointer = error.path().iter().fold(String::new(), |pointer, segment| match segment {
            Segment::Seq { index } => join(&pointer, index),
            Segment::Map { key } => join(&pointer, key),
            Segment::Enum { .. } | Segment::Unknown => pointer,
        });
        let found = tree.find(&pointer);
        let remedy = "see `portcullis schema` for what can stand here";
        // The reader's own words quote what it has read.
        let what = match found.node.has_variables() {
            true => "this cannot be read".to_owned(),
            false => error.into_inner().to_string(),
        };
        Box::new(Problem::error(found.at(), &pointer, what, remedy))
    })
}

/// Reads a node as serde_json reads the value that [`Node::to_json`] makes of it, without making one.
struct Reader<'a>(&'a Node);

impl<'de> IntoDeserializer<'de> for Reader<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.0.value {
            Value::Broken => visitor.visit_unit(),
            Value::List(items) => visitor.visit_seq(SeqDeserializer::new(items.iter().map(Reader))),
            Value::Map(entries) => {
                let entries = entries.iter().map(|entry| (entry.key.as_str(), Reader(&entry.node)));
                visitor.visit_map(MapDeserializer::new(entries))
            }
            Value::Scalar(scalar) => match scalar.meaning {
                Meaning::Bool(bool) => visitor.visit_bool(bool),
                Meaning::Integer(integer) => match u64::try_from(integer) {
                    Ok(integer) => visitor.visit_u64(integer),
                    Err(_) => visitor.visit_i64(integer),
                },
                Meaning::Number(number) if number.is_finite() => visitor.visit_f64(number),
                // JSON has no number that is none.
                Meaning::Null | Meaning::Number(_) => visitor.visit_unit(),
                Meaning::Text => visitor.visit_borrowed_str(&scalar.text),
            },
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let is_null = |meaning| match meaning {
            Meaning::Null => true,
            Meaning::Number(number) => !number.is_finite(),
            Meaning::Bool(_) | Meaning::Integer(_) | Meaning::Text => false,
        };
        match &self.0.value {
            Value::Broken => visitor.visit_none(),
            Value::Scalar(scalar) if is_null(scalar.meaning) => visitor.visit_none(),
            Value::Scalar(_) | Value::List(_) | Value::Map(_) => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match &self.0.value {
            Value::Map(entries) if entries.len() == 1 => {
                let entries = entries.iter().map(|entry| (entry.key.as_str(), Reader(&entry.node)));
                visitor.visit_enum(MapAccessDeserializer::new(MapDeserializer::new(entries)))
            }
            Value::Scalar(scalar) if scalar.meaning == Meaning::Text => {
                visitor.visit_enum(scalar.text.as_str().into_deserializer())
            }
            Value::Scalar(_) | Value::List(_) | Value::Map(_) | Value::Broken => {
                Err(Error::custom("neither a name nor a mapping with one key"))
            }
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::super::{parser, source::Config};
    use super::*;
    use serde_json::Value as Json;

    fn tree(yaml: &str) -> Node {
        let mut problems = Vec::new();
        let tree = parser::parse(yaml, &|_| None, &mut problems);
        assert_eq!(problems, [], "{yaml}");
        tree.unwrap()
    }

    #[test]
    fn values_are_read_as_their_json_is() {
        for yaml in [
            "a: [1, -1, 0x10, 1.5, .inf, .nan, true, null, ~, text, \"1\", 99999999999999999999]",
            "{ z: {}, a: [], m: { k: [[1], { x: }] } }",
            "text",
        ] {
            let tree = tree(yaml);
            assert_eq!(Json::deserialize(Reader(&tree)).unwrap(), tree.to_json(), "{yaml}");
        }
    }

    #[test]
    fn a_configuration_is_the_one_that_its_json_is() {
        let tree = tree(include_str!("../../gateway.yaml"));
        let direct = Config::deserialize(Reader(&tree)).unwrap();
        let through_json: Config = serde_json::from_value(tree.to_json()).unwrap();
        assert_eq!(serde_json::to_value(direct).unwrap(), serde_json::to_value(through_json).unwrap());
    }
}
