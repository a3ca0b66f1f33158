//! What one schema takes and how to say so.

use super::{
    nearest::one_of,
    scalar::{Meaning, plain},
    tree::{Scalar, Value},
};
use filters::api::units::{Duration, Rate, Size};
use serde_json::Value as Json;
use std::net::SocketAddr;

/// What is wrong, and the remedy.
pub(super) type Said = (String, String);

/// The schemas that `schema` stands for: references followed, `anyOf` and `oneOf` taken apart.
pub(super) fn alternatives<'a>(root: &'a Json, schema: &'a Json, found: &mut Vec<&'a Json>) {
    if let Some(target) = referred(root, schema) {
        return alternatives(root, target, found);
    }
    match schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Json::as_array) {
        Some(schemas) => schemas.iter().for_each(|schema| alternatives(root, schema, found)),
        None => found.push(schema),
    }
}

fn referred<'a>(root: &'a Json, schema: &Json) -> Option<&'a Json> {
    // All that schemars makes.
    root.get("$defs")?.get(schema.get("$ref")?.as_str()?.strip_prefix("#/$defs/")?)
}

/// Whether a schema takes values of this kind.
pub(super) fn takes(schema: &Json, value: &Value) -> bool {
    match value {
        Value::List(_) => has_type(schema, "array"),
        Value::Map(_) => has_type(schema, "object"),
        Value::Broken => true,
        Value::Scalar(scalar) => takes_meaning(schema, scalar.meaning),
    }
}

/// Whether a schema takes scalars that stand for this.
pub(super) fn takes_meaning(schema: &Json, meaning: Meaning) -> bool {
    let kinds: &[&str] = match meaning {
        Meaning::Null => &["null"],
        Meaning::Bool(_) => &["boolean"],
        Meaning::Integer(_) => &["integer", "number"],
        Meaning::Number(_) => &["number"],
        Meaning::Text => &["string"],
    };
    kinds.iter().any(|kind| has_type(schema, kind))
}

fn has_type(schema: &Json, kind: &str) -> bool {
    match schema.get("type") {
        Some(Json::String(one)) => one == kind,
        Some(Json::Array(several)) => several.iter().any(|one| one == kind),
        _ => true,
    }
}

/// The key of a schema that takes mappings with just that one key.
pub(super) fn tag(schema: &Json) -> Option<&str> {
    let properties = schema.get("properties")?.as_object()?;
    let key = properties.keys().next().filter(|_| properties.len() == 1)?;
    let is_required = schema.get("required")?.as_array()?.iter().any(|required| required == key);
    is_required.then_some(key)
}

/// What is wrong with a scalar of the right kind.
pub(super) fn scalar(name: &str, scalar: &Scalar, schemas: &[&Json]) -> Result<(), Said> {
    match scalar.meaning {
        Meaning::Text => text(name, scalar, schemas),
        Meaning::Integer(integer) => {
            let mut ranges = schemas.iter().map(|schema| range(schema));
            let Some((least, most)) = ranges.next() else { return Ok(()) };
            if (least..=most).contains(&integer) {
                return Ok(());
            }
            let remedy = match (least == most, most) {
                (true, _) => format!("write {least}"),
                (false, i64::MAX) => format!("write {least} or more"),
                (false, _) => format!("write a number from {least} to {most}"),
            };
            Err((format!("{name} cannot be «{integer}»"), remedy))
        }
        Meaning::Null | Meaning::Bool(_) | Meaning::Number(_) => Ok(()),
    }
}

fn text(name: &str, scalar: &Scalar, schemas: &[&Json]) -> Result<(), Said> {
    let words: Vec<&str> = schemas.iter().flat_map(|schema| words(schema)).collect();
    let takes_any = schemas.iter().any(|schema| self::words(schema).next().is_none());
    if takes_any || words.contains(&scalar.text.as_str()) {
        return schemas.iter().find_map(|schema| format(schema, scalar)).unwrap_or(Ok(()));
    }
    Err((format!("{name} cannot be «{}»", scalar.text), format!("write {}", one_of(&words))))
}

/// Whether schemas take every text between them, without a look at it.
pub(super) fn take_any_text(schemas: &[&Json]) -> bool {
    let texts = || schemas.iter().filter(|schema| has_type(schema, "string"));
    texts().any(|schema| words(schema).next().is_none()) && texts().all(|schema| schema.get("format").is_none())
}

/// The words that a schema is limited to.
fn words(schema: &Json) -> impl Iterator<Item = &str> {
    let several = schema.get("enum").and_then(Json::as_array).into_iter().flatten();
    several.chain(schema.get("const")).filter_map(Json::as_str)
}

fn range(schema: &Json) -> (i64, i64) {
    let of_type = match schema.get("format").and_then(Json::as_str) {
        Some("uint8") => i64::from(u8::MAX),
        Some("uint16") => i64::from(u16::MAX),
        Some("uint32") => i64::from(u32::MAX),
        _ => i64::MAX,
    };
    let bound = |key| schema.get(key).and_then(Json::as_i64);
    (bound("minimum").unwrap_or(i64::MIN), bound("maximum").unwrap_or(of_type).min(of_type))
}

/// What is wrong with a text that has a format, if the schema names one.
pub(super) fn format(schema: &Json, scalar: &Scalar) -> Option<Result<(), Said>> {
    fn unit<T: std::str::FromStr<Err: ToString>>(text: &str) -> Result<(), String> {
        text.parse::<T>().map(drop).map_err(|problem| problem.to_string())
    }
    let text = scalar.text.as_str();
    let taken = match schema.get("format").and_then(Json::as_str)? {
        "duration" => unit::<Duration>(text),
        "size" => unit::<Size>(text),
        "rate" => unit::<Rate>(text),
        "socket-address" => unit::<SocketAddr>(text).map_err(|_| {
            format!("`{text}` is no address: write an IP address and a port, such as 127.0.0.1:8080 or \"[::]:8080\"")
        }),
        _ => return None,
    };
    Some(taken.map_err(|said| {
        // All of them begin with the text, which may hold anything.
        let said = said.strip_prefix(&format!("`{text}`")).unwrap_or("cannot be used");
        let (why, remedy) = said.split_once(": ").unwrap_or((said, "write it as the schema says"));
        (format!("«{text}»{why}"), remedy.to_owned())
    }))
}

/// Whether a value that is written here by mistake could be a secret.
pub(super) fn is_secret(root: &Json, schema: &Json) -> bool {
    let schema = referred(root, schema).unwrap_or(schema);
    // One that can be left out is an alternative to nothing.
    let mut alternatives = schema.get("anyOf").and_then(Json::as_array).into_iter().flatten();
    schema.get("writeOnly").and_then(Json::as_bool).unwrap_or(false) || alternatives.any(|each| is_secret(root, each))
}

/// How to say that a scalar is of the wrong kind.
pub(super) fn wrong_kind(name: &str, scalar: &Scalar, schemas: &[&Json], expected: &str) -> Said {
    let text = &scalar.text;
    let takes = |meaning| schemas.iter().any(|schema| takes_meaning(schema, meaning));
    let found = match scalar.meaning {
        Meaning::Null => {
            return (format!("{name} has no value"), format!("write {expected}, or remove the key"));
        }
        Meaning::Bool(_) | Meaning::Integer(_) | Meaning::Number(_) => format!("«{text}»"),
        Meaning::Text => format!("the text «{text}»"),
    };
    let is_list = schemas.iter().any(|schema| has_type(schema, "array"));
    let remedy = if scalar.meaning == Meaning::Text && plain(text) != Meaning::Text && takes(plain(text)) {
        format!("write it without quotes: «{text}»")
    } else if takes(Meaning::Text) {
        format!("quote it: «\"{text}\"»")
    } else if is_list && scalar.written.is_some() {
        // Braces and brackets of YAML would take an unquoted variable apart.
        format!("write it as a list: «[\"{text}\"]»")
    } else if is_list {
        format!("write it as a list: «[{text}]»")
    } else if scalar.written.is_some() && (takes(Meaning::Bool(true)) || takes(Meaning::Integer(0))) {
        format!("have the environment say {expected}")
    } else {
        match meant(text, takes) {
            Some(meant) => format!("write «{meant}»"),
            None => format!("write {expected}"),
        }
    };
    (format!("{name} must be {expected}, not {found}"), remedy)
}

/// The number, or true or false, that was written as other formats write it.
fn meant(text: &str, takes: impl Fn(Meaning) -> bool) -> Option<String> {
    if takes(Meaning::Bool(true)) {
        let meant = match text.to_ascii_lowercase().as_str() {
            "yes" | "on" | "y" | "1" => "true",
            "no" | "off" | "n" | "0" => "false",
            _ => return None,
        };
        return Some(meant.to_owned());
    }
    if !takes(Meaning::Integer(0)) {
        return None;
    }
    let digits = text.replace(['_', ',', '\''], "");
    let is_whole = |number: &f64| number.fract() == 0.0 && (0.0..1e15).contains(number);
    let number = if text.contains(['e', 'E', '.']) { text.parse().ok().filter(is_whole) } else { None };
    number.map(|number| format!("{number:.0}")).or_else(|| digits.parse::<u64>().ok().map(|number| number.to_string()))
}

/// What a place takes, in words.
pub(super) fn expected(schemas: &[&Json]) -> String {
    let mut kinds: Vec<String> = Vec::new();
    let mut add = |kind: String| {
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    };
    let tags: Vec<&str> = schemas.iter().filter_map(|schema| tag(schema)).collect();
    let words: Vec<&str> = schemas.iter().flat_map(|schema| words(schema)).collect();
    for schema in schemas {
        let named = |kind| schema.get("type").is_some() && has_type(schema, kind);
        if named("string") {
            match (self::words(schema).next(), schema.get("format").and_then(Json::as_str)) {
                (Some(_), _) => add(one_of(&words)),
                (None, Some("duration")) => add("a duration such as `250ms`".to_owned()),
                (None, Some("size")) => add("a size such as `64KiB`".to_owned()),
                (None, Some("rate")) => add("a rate such as `20/1s`".to_owned()),
                (None, Some("socket-address")) => add("an address such as `127.0.0.1:8080`".to_owned()),
                (None, _) => add("a text".to_owned()),
            }
        }
        match tag(schema) {
            Some(_) => add(format!("a mapping with {}", one_of(&tags))),
            None if named("object") => add("a mapping".to_owned()),
            None => {}
        }
        for (kind, words) in [("integer", "a whole number"), ("boolean", "true or false"), ("array", "a list")] {
            if named(kind) {
                add(words.to_owned());
            }
        }
    }
    kinds.join(" or ")
}

/// The first sentence of a schema's description, its own or that of what it refers to.
pub(super) fn first_sentence(root: &Json, schema: &Json) -> String {
    let described = |schema: &Json| schema.get("description").and_then(Json::as_str).map(str::to_owned);
    let text = described(schema).or_else(|| {
        let mut found = Vec::new();
        alternatives(root, schema, &mut found);
        found.first().and_then(|schema| described(schema))
    });
    let text = text.unwrap_or_default().replace('\n', " ");
    match text.split_once(". ") {
        Some((first, _)) => format!("{first}."),
        None => text,
    }
}
