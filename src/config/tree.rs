//! A parsed configuration in which everything knows its place.

use super::{problem::Position, scalar::Meaning};

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// Where it begins.
    pub(super) at: Position,
    /// What it is.
    pub(super) value: Value,
}

/// What a [`Node`] is.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// A scalar.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order written, without duplicate keys.
    Map(Vec<Entry>),
    /// Something that a problem was found in already, so that nothing further is said about it.
    Broken,
}

/// A scalar.
#[derive(Debug, Clone)]
pub(super) struct Scalar {
    /// Its text, with variables filled in.
    pub(super) text: String,
    /// What it stands for.
    pub(super) meaning: Meaning,
    /// Its text as it is in the file, where a part of it may have come from the environment.
    pub(super) written: Option<String>,
}

/// A scalar of a tree that holds a variable.
#[derive(Debug)]
pub(super) struct Variable {
    /// The JSON pointer to it.
    pub(super) pointer: String,
    /// Its text as it is in the file.
    pub(super) written: String,
    /// Its text with variables filled in.
    pub(super) text: String,
}

/// A key and its value.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// The key.
    pub(super) key: String,
    /// Where the key stands.
    pub(super) key_at: Position,
    /// The value.
    pub(super) node: Node,
}

/// What a JSON pointer leads to, or the nearest thing around it.
pub(super) struct Found<'a> {
    /// The node.
    pub(super) node: &'a Node,
    /// Where its key stands, if it has one.
    pub(super) key_at: Option<Position>,
    /// Whether the pointer led all the way.
    pub(super) is_whole: bool,
}

impl Found<'_> {
    /// Where to point: at a scalar itself; at the key of anything larger, or of what is not written.
    pub(super) fn at(&self) -> Position {
        match (&self.node.value, self.key_at) {
            (Value::Scalar(_), _) if self.is_whole => self.node.at,
            (_, Some(key_at)) => key_at,
            (_, None) => self.node.at,
        }
    }
}

impl Node {
    /// What a JSON pointer leads to.
    pub(super) fn find(&self, pointer: &str) -> Found<'_> {
        let mut found = Found { node: self, key_at: None, is_whole: true };
        for segment in pointer.split('/').skip(1) {
            let segment = segment.replace("~1", "/").replace("~0", "~");
            let next = match &found.node.value {
                Value::Map(entries) => {
                    entries.iter().find(|entry| entry.key == segment).map(|entry| (&entry.node, Some(entry.key_at)))
                }
                Value::List(items) => {
                    segment.parse().ok().and_then(|index: usize| items.get(index)).map(|node| (node, None))
                }
                Value::Scalar(_) | Value::Broken => None,
            };
            match next {
                Some((node, key_at)) => (found.node, found.key_at) = (node, key_at),
                // Where a list is expected, one item may be written without it.
                None if segment == "0" && !matches!(found.node.value, Value::List(_)) => {}
                None => {
                    found.is_whole = false;
                    break;
                }
            }
        }
        found
    }

    /// As a JSON value, for the typed configuration.
    pub(super) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Broken => serde_json::Value::Null,
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(entries) => entries.iter().map(|entry| (entry.key.clone(), entry.node.to_json())).collect(),
            Value::Scalar(scalar) => match scalar.meaning {
                Meaning::Null => serde_json::Value::Null,
                Meaning::Bool(bool) => bool.into(),
                Meaning::Integer(integer) => integer.into(),
                Meaning::Number(number) => number.into(),
                Meaning::Text => scalar.text.as_str().into(),
            },
        }
    }

    /// Every scalar that holds a variable.
    pub(super) fn variables(&self) -> Vec<Variable> {
        let mut variables = Vec::new();
        self.gather_variables("", &mut variables);
        variables
    }

    /// Whether any of it may have come from the environment.
    pub(super) fn has_variables(&self) -> bool {
        match &self.value {
            Value::Scalar(scalar) => scalar.written.is_some(),
            Value::List(items) => items.iter().any(Self::has_variables),
            Value::Map(entries) => entries.iter().any(|entry| entry.node.has_variables()),
            Value::Broken => false,
        }
    }

    /// The text of a scalar.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) => Some(&scalar.text),
            Value::List(_) | Value::Map(_) | Value::Broken => None,
        }
    }

    /// What is written here and what it stands for, where a part of that may have come from the environment.
    pub(super) fn variable(&self) -> Option<(&str, &str)> {
        match &self.value {
            Value::Scalar(Scalar { text, written: Some(written), .. }) => Some((written, text)),
            Value::Scalar(_) | Value::List(_) | Value::Map(_) | Value::Broken => None,
        }
    }

    fn gather_variables(&self, pointer: &str, variables: &mut Vec<Variable>) {
        // Few have any, and a pointer to each of all nodes is a tenth of the time that a large configuration takes.
        if !self.has_variables() {
            return;
        }
        match &self.value {
            Value::Scalar(Scalar { text, written: Some(written), .. }) => {
                let (pointer, written, text) = (pointer.to_owned(), written.clone(), text.clone());
                variables.push(Variable { pointer, written, text });
            }
            Value::Scalar(_) | Value::Broken => {}
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    item.gather_variables(&join(pointer, index), variables);
                }
            }
            Value::Map(entries) => {
                for entry in entries {
                    entry.node.gather_variables(&join(pointer, &entry.key), variables);
                }
            }
        }
    }

    /// How many levels it has.
    pub(super) fn height(&self) -> usize {
        1 + match &self.value {
            Value::Scalar(_) | Value::Broken => 0,
            Value::List(items) => items.iter().map(Self::height).max().unwrap_or(0),
            Value::Map(entries) => entries.iter().map(|entry| entry.node.height()).max().unwrap_or(0),
        }
    }

    /// About how many bytes it takes.
    pub(super) fn weight(&self) -> usize {
        NODE_WEIGHT
            + match &self.value {
                Value::Broken => 0,
                Value::Scalar(scalar) => scalar.text.len(),
                Value::List(items) => items.iter().map(Self::weight).sum(),
                Value::Map(entries) => entries.iter().map(|entry| entry.key.len() + entry.node.weight()).sum(),
            }
    }
}

/// What a node weighs beside its text, so that nodes without any are counted too.
pub(super) const NODE_WEIGHT: usize = 32;

/// A JSON pointer one step further (RFC 6901).
pub(super) fn join(pointer: &str, segment: impl std::fmt::Display) -> String {
    let joined = format!("{pointer}/{segment}");
    let segment = joined.get(pointer.len() + 1..).unwrap_or_default();
    if !segment.contains(['~', '/']) {
        return joined;
    }
    format!("{pointer}/{}", segment.replace('~', "~0").replace('/', "~1"))
}
