//! Holds a tree against the JSON Schema of the configuration.
//!
//! Deserialization stops at the first thing it cannot take and rarely knows where that is. This finds all of
//! them, each with its place, and leaves only what a schema cannot say.

use super::{
    leaf,
    nearest::{nearest, one_of, remedy},
    problem::{FOUND_MAX, Position, Problem},
    scalar::Meaning,
    tree::{Entry, Node, Scalar, Value, join},
};
use serde_json::Value as Json;

/// What is wrong with the shape of `tree`.
pub(super) fn check(tree: &Node, schema: &Json, problems: &mut Vec<Problem>) {
    let mut shape = Shape { root: schema, problems };
    shape.visit(&Place { node: tree, key: None, list: "", pointer: String::new() }, schema);
}

struct Shape<'a> {
    root: &'a Json,
    problems: &'a mut Vec<Problem>,
}

/// A node on the way through the tree.
struct Place<'a> {
    node: &'a Node,
    key: Option<(&'a str, Position)>,
    /// The key of the list that it is an item of.
    list: &'a str,
    pointer: String,
}

impl<'a> Place<'a> {
    fn at(&self) -> Position {
        match (&self.node.value, self.key) {
            (Value::Scalar(_), _) | (_, None) => self.node.at,
            (_, Some((_, at))) => at,
        }
    }

    /// What it is called in a sentence.
    fn name(&self) -> String {
        match self.key {
            Some((key, _)) => format!("`{key}`"),
            None if self.pointer.is_empty() => "the configuration".to_owned(),
            None => format!("this item of `{}`", self.list),
        }
    }

    fn child(&self, entry: &'a Entry) -> Self {
        let key = Some((entry.key.as_str(), entry.key_at));
        Self { node: &entry.node, key, list: "", pointer: join(&self.pointer, &entry.key) }
    }
}

impl Shape<'_> {
    fn visit(&mut self, place: &Place<'_>, schema: &Json) {
        if self.problems.len() >= FOUND_MAX {
            return;
        }
        let known = self.problems.len();
        self.judge(place, schema);
        if self.problems.len() > known && leaf::is_secret(self.root, schema) {
            self.problems.iter_mut().skip(known).for_each(|problem| problem.shows_line = false);
        }
    }

    fn judge(&mut self, place: &Place<'_>, schema: &Json) {
        let mut alternatives = Vec::new();
        leaf::alternatives(self.root, schema, &mut alternatives);
        let fitting: Vec<&Json> =
            alternatives.iter().copied().filter(|schema| leaf::takes(schema, &place.node.value)).collect();
        match &place.node.value {
            Value::Broken => {}
            Value::Scalar(_) if fitting.is_empty() && leaf::is_secret(self.root, schema) => {
                let what = format!("{} must say where the secret is, and not be the secret itself", place.name());
                let remedy = "write `{ file: PATH }` or `{ env: NAME }`".to_owned();
                self.problem(place.at(), &place.pointer, what, remedy);
            }
            _ if fitting.is_empty() => self.mismatch(place, &alternatives),
            Value::Map(entries) if fitting.iter().all(|schema| leaf::tag(schema).is_some()) => {
                self.tagged(place, entries, &fitting);
            }
            Value::Map(entries) => {
                if let Some(schema) = fitting.first() {
                    self.mapping(place, entries, schema);
                }
            }
            Value::List(items) => {
                if let Some(schema) = fitting.first() {
                    self.list(place, items, schema);
                }
            }
            Value::Scalar(scalar) => {
                if let Err((what, remedy)) = leaf::scalar(&place.name(), scalar, &fitting) {
                    self.scalar_problem(place, scalar, &what, &remedy);
                }
            }
        }
    }

    fn mapping(&mut self, place: &Place<'_>, entries: &[Entry], schema: &Json) {
        let properties = schema.get("properties").and_then(Json::as_object);
        let others = schema.get("additionalProperties").unwrap_or(&Json::Bool(true));
        for entry in entries {
            if self.problems.len() >= FOUND_MAX {
                return;
            }
            let child = place.child(entry);
            match (properties.and_then(|properties| properties.get(&entry.key)), others) {
                (Some(property), _) => self.visit(&child, property),
                (None, Json::Bool(false)) => {
                    let known = properties.into_iter().flat_map(|properties| properties.keys().map(String::as_str));
                    self.unknown_key(place, entry, known);
                }
                (None, others) => self.visit(&child, others),
            }
        }
        for required in schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str) {
            // A key with a typing error is said to be unknown already.
            let is_meant = |entry: &Entry| entry.key == required || is_typing_error(&entry.key, required, properties);
            if !entries.iter().any(is_meant) {
                let property = properties.and_then(|properties| properties.get(required));
                let about = property.map(|property| leaf::first_sentence(self.root, property)).unwrap_or_default();
                let what = format!("{} lacks `{required}`", place.name());
                self.problem(place.at(), &place.pointer, what, format!("add `{required}`: {about}"));
            }
        }
    }

    /// A mapping with one key, which says what kind of thing it is.
    fn tagged(&mut self, place: &Place<'_>, entries: &[Entry], alternatives: &[&Json]) {
        let tags: Vec<&str> = alternatives.iter().filter_map(|schema| leaf::tag(schema)).collect();
        let known = |entry: &&Entry| tags.contains(&entry.key.as_str());
        for entry in entries.iter().filter(|entry| !known(entry)) {
            self.unknown_key(place, entry, tags.iter().copied());
        }
        let mut chosen = entries.iter().filter(known);
        match (chosen.next(), chosen.next()) {
            (Some(entry), None) => {
                let schema = alternatives.iter().find_map(|schema| schema.get("properties")?.get(&entry.key));
                if let Some(schema) = schema {
                    self.visit(&place.child(entry), schema);
                }
            }
            (Some(first), Some(second)) => {
                let what = format!("`{}` and `{}` cannot stand together in one mapping", first.key, second.key);
                let remedy = if place.key.is_some() { "keep one of them" } else { "begin each with its own `-`" };
                self.problem(second.key_at, &join(&place.pointer, &second.key), what, remedy.to_owned());
            }
            (None, _) if entries.is_empty() => {
                let what = format!("{} is empty", place.name());
                self.problem(place.at(), &place.pointer, what, format!("write {}", one_of(&tags)));
            }
            (None, _) => {}
        }
    }

    fn list(&mut self, place: &Place<'_>, items: &[Node], schema: &Json) {
        let least = schema.get("minItems").and_then(Json::as_u64).unwrap_or(0);
        if (items.len() as u64) < least {
            let what = format!("{} is empty", place.name());
            self.problem(place.at(), &place.pointer, what, "write at least one".to_owned());
        }
        if let Some(schema) = schema.get("items") {
            for (index, node) in items.iter().enumerate() {
                let list = place.key.map_or("", |(key, _)| key);
                self.visit(&Place { node, key: None, list, pointer: join(&place.pointer, index) }, schema);
            }
        }
    }

    fn mismatch(&mut self, place: &Place<'_>, alternatives: &[&Json]) {
        let expected = leaf::expected(alternatives);
        if let Value::Scalar(scalar) = &place.node.value {
            // `30` for a duration is a number to YAML, but what it lacks is its unit.
            if scalar.meaning != Meaning::Null
                && let Some(Err((what, remedy))) = alternatives.iter().find_map(|schema| leaf::format(schema, scalar))
            {
                return self.scalar_problem(place, scalar, &what, &remedy);
            }
            let (what, remedy) = leaf::wrong_kind(&place.name(), scalar, alternatives, &expected);
            return self.scalar_problem(place, scalar, &what, &remedy);
        }
        let (found, remedy) = match place.node.value {
            Value::List(_) if expected.starts_with("a mapping") => {
                ("a list", "write `name: value`, without a `-`".to_owned())
            }
            Value::List(_) => ("a list", format!("write {expected}")),
            _ if expected == "a list" => ("a mapping", "begin each item with a `-`".to_owned()),
            _ => ("a mapping", format!("write {expected}")),
        };
        let what = format!("{} must be {expected}, not {found}", place.name());
        self.problem(place.at(), &place.pointer, what, remedy);
    }

    fn unknown_key<'a>(&mut self, place: &Place<'_>, entry: &Entry, known: impl IntoIterator<Item = &'a str>) {
        let what = match place.key {
            Some((key, _)) => format!("unknown key `{}` in `{key}`", entry.key),
            None => format!("unknown key `{}`", entry.key),
        };
        self.problem(entry.key_at, &join(&place.pointer, &entry.key), what, remedy(&entry.key, "keys here", known));
    }

    fn scalar_problem(&mut self, place: &Place<'_>, scalar: &Scalar, what: &str, remedy: &str) {
        self.problem(place.at(), &place.pointer, scalar.conceal(what), scalar.conceal(remedy));
    }

    fn problem(&mut self, at: Position, path: &str, what: String, remedy: String) {
        self.problems.push(Problem::error(at, path, what, remedy));
    }
}

/// Whether an unknown key is taken for this one.
fn is_typing_error(key: &str, required: &str, properties: Option<&serde_json::Map<String, Json>>) -> bool {
    let known = || properties.into_iter().flat_map(|properties| properties.keys().map(String::as_str));
    known().all(|known| known != key) && nearest(key, known()) == Some(required)
}
