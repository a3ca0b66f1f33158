//! Holds a tree against the JSON Schema of the configuration.
//!
//! Deserialization stops at the first thing it cannot take and rarely knows where that is. This finds all of
//! them, each with its place, and leaves only what a schema cannot say.

use super::{
    forms::{Form, FormId, Forms, Keys, List, Mapping},
    leaf,
    nearest::{nearest, one_of, remedy},
    problem::{FOUND_MAX, Position, Problem},
    scalar::Meaning,
    tree::{Entry, Node, Scalar, Value, join},
};
use serde_json::Value as Json;

/// What is wrong with the shape of `tree`.
pub(super) fn check(tree: &Node, forms: &Forms<'_>, problems: &mut Vec<Problem>) {
    Shape { forms, problems }.visit(&Place { node: tree, step: Step::Root }, forms.root());
}

struct Shape<'a> {
    forms: &'a Forms<'a>,
    problems: &'a mut Vec<Problem>,
}

/// A node on the way through the tree. Where that is gets written out only for a problem.
struct Place<'a> {
    node: &'a Node,
    step: Step<'a>,
}

/// How a node is reached.
enum Step<'a> {
    Root,
    Key(&'a Place<'a>, &'a Entry),
    Item(&'a Place<'a>, usize),
}

impl<'a> Place<'a> {
    fn at(&self) -> Position {
        match (&self.node.value, self.key()) {
            (Value::Scalar(_), _) | (_, None) => self.node.at,
            (_, Some(entry)) => entry.key_at,
        }
    }

    fn key(&self) -> Option<&'a Entry> {
        match self.step {
            Step::Key(_, entry) => Some(entry),
            Step::Root | Step::Item(..) => None,
        }
    }

    /// What it is called in a sentence.
    fn name(&self) -> String {
        match self.step {
            Step::Key(_, entry) => format!("`{}`", entry.key),
            Step::Root => "the configuration".to_owned(),
            Step::Item(list, _) => format!("this item of `{}`", list.key().map_or("", |entry| &entry.key)),
        }
    }

    fn pointer(&self) -> String {
        match self.step {
            Step::Root => String::new(),
            Step::Key(above, entry) => join(&above.pointer(), &entry.key),
            Step::Item(above, index) => join(&above.pointer(), index),
        }
    }

    fn child<'b>(&'b self, entry: &'b Entry) -> Place<'b> {
        Place { node: &entry.node, step: Step::Key(self, entry) }
    }
}

impl Shape<'_> {
    fn visit(&mut self, place: &Place<'_>, form: FormId) {
        let Some(form) = self.forms.get(form).filter(|_| self.problems.len() < FOUND_MAX) else { return };
        let known = self.problems.len();
        self.judge(place, form);
        if self.problems.len() > known && form.is_secret {
            self.problems.iter_mut().skip(known).for_each(|problem| problem.shows_line = false);
        }
    }

    fn judge(&mut self, place: &Place<'_>, form: &Form<'_>) {
        match (&place.node.value, &form.mapping, &form.list) {
            (Value::Broken, ..) => {}
            (Value::Scalar(scalar), ..) if form.takes_plainly(scalar) => {}
            (Value::Scalar(scalar), ..) => self.scalar(place, scalar, form),
            (Value::Map(entries), Mapping::Tagged(tags), _) => self.tagged(place, entries, tags),
            (Value::Map(entries), Mapping::Keys(keys), _) => self.mapping(place, entries, keys),
            (Value::List(items), _, Some(list)) => self.list(place, items, list),
            (Value::Map(_), Mapping::Refused, _) | (Value::List(_), _, None) => {
                self.mismatch(place, &form.alternatives);
            }
        }
    }

    fn scalar(&mut self, place: &Place<'_>, scalar: &Scalar, form: &Form<'_>) {
        let takes = |schema: &&Json| leaf::takes(schema, &place.node.value);
        let fitting: Vec<&Json> = form.alternatives.iter().copied().filter(takes).collect();
        if !fitting.is_empty() {
            if let Err((what, remedy)) = leaf::scalar(&place.name(), scalar, &fitting) {
                self.problem(place.at(), &place.pointer(), what, remedy);
            }
        } else if form.is_secret {
            let what = format!("{} must say where the secret is, and not be the secret itself", place.name());
            let remedy = "write `{ file: PATH }` or `{ env: NAME }`".to_owned();
            self.problem(place.at(), &place.pointer(), what, remedy);
        } else {
            self.mismatch(place, &form.alternatives);
        }
    }

    fn mapping(&mut self, place: &Place<'_>, entries: &[Entry], keys: &Keys<'_>) {
        for entry in entries {
            if self.problems.len() >= FOUND_MAX {
                return;
            }
            match keys.named.get(entry.key.as_str()).or(keys.others.as_ref()) {
                Some(form) => self.visit(&place.child(entry), *form),
                None => self.unknown_key(place, entry, keys.named.keys().copied()),
            }
        }
        for required in keys.required.iter().filter(|required| entries.iter().all(|entry| entry.key != **required)) {
            // A key with a typing error is said to be unknown already.
            if !entries.iter().any(|entry| is_typing_error(&entry.key, required, keys)) {
                let property = keys.schema.get("properties").and_then(|properties| properties.get(required));
                let about = property.map(|property| leaf::first_sentence(self.forms.schema, property));
                let what = format!("{} lacks `{required}`", place.name());
                let remedy = format!("add `{required}`: {}", about.unwrap_or_default());
                self.problem(place.at(), &place.pointer(), what, remedy);
            }
        }
    }

    /// A mapping with one key, which says what kind of thing it is.
    fn tagged(&mut self, place: &Place<'_>, entries: &[Entry], tagged: &[(&str, FormId)]) {
        let tags = || tagged.iter().map(|(tag, _)| *tag);
        let form = |entry: &Entry| tagged.iter().find(|(tag, _)| *tag == entry.key).map(|(_, form)| *form);
        let known = |entry: &&Entry| form(entry).is_some();
        for entry in entries.iter().filter(|entry| !known(entry)) {
            self.unknown_key(place, entry, tags());
        }
        let mut chosen = entries.iter().filter(known);
        match (chosen.next(), chosen.next()) {
            (Some(entry), None) => {
                if let Some(form) = form(entry) {
                    self.visit(&place.child(entry), form);
                }
            }
            (Some(first), Some(second)) => {
                let what = format!("`{}` and `{}` cannot stand together in one mapping", first.key, second.key);
                let remedy = if place.key().is_some() { "keep one of them" } else { "begin each with its own `-`" };
                self.problem(second.key_at, &join(&place.pointer(), &second.key), what, remedy.to_owned());
            }
            (None, _) if entries.is_empty() => {
                let what = format!("{} is empty", place.name());
                self.problem(
                    place.at(),
                    &place.pointer(),
                    what,
                    format!("write {}", one_of(&tags().collect::<Vec<_>>())),
                );
            }
            (None, _) => {}
        }
    }

    fn list(&mut self, place: &Place<'_>, items: &[Node], list: &List) {
        if (items.len() as u64) < list.items_min {
            let what = format!("{} is empty", place.name());
            self.problem(place.at(), &place.pointer(), what, "write at least one".to_owned());
        }
        if let Some(form) = list.items {
            for (index, node) in items.iter().enumerate() {
                self.visit(&Place { node, step: Step::Item(place, index) }, form);
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
                return self.problem(place.at(), &place.pointer(), what, remedy);
            }
            let (what, remedy) = leaf::wrong_kind(&place.name(), scalar, alternatives, &expected);
            return self.problem(place.at(), &place.pointer(), what, remedy);
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
        self.problem(place.at(), &place.pointer(), what, remedy);
    }

    fn unknown_key<'a>(&mut self, place: &Place<'_>, entry: &Entry, known: impl IntoIterator<Item = &'a str>) {
        let what = match place.key() {
            Some(above) => format!("unknown key `{}` in `{}`", entry.key, above.key),
            None => format!("unknown key `{}`", entry.key),
        };
        self.problem(entry.key_at, &join(&place.pointer(), &entry.key), what, remedy(&entry.key, "keys here", known));
    }

    fn problem(&mut self, at: Position, path: &str, what: String, remedy: String) {
        self.problems.push(Problem::error(at, path, what, remedy));
    }
}

/// Whether an unknown key is taken for this one.
fn is_typing_error(key: &str, required: &str, keys: &Keys<'_>) -> bool {
    !keys.named.contains_key(key) && nearest(key, keys.named.keys().copied()) == Some(required)
}
