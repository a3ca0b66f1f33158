//! The JSON Schema of the configuration, with what is asked of it at every node looked up once.

use super::{
    leaf,
    scalar::Meaning,
    tree::{Scalar, Value},
};
use serde_json::Value as Json;
use std::{
    collections::{BTreeMap, HashMap},
    ptr,
};

/// A schema that takes whatever there is.
static ANYTHING: Json = Json::Bool(true);

/// Everything that a schema says of any place.
pub(super) struct Forms<'a> {
    /// The schema.
    pub(super) schema: &'a Json,
    all: Vec<Form<'a>>,
    /// By the addresses of their schemas.
    known: HashMap<usize, FormId>,
}

/// Which of the [`Forms`].
#[derive(Debug, Clone, Copy)]
pub(super) struct FormId(usize);

/// What one place takes.
pub(super) struct Form<'a> {
    /// The schemas that it stands for, references followed.
    pub(super) alternatives: Vec<&'a Json>,
    /// Whether a value that is written here by mistake could be a secret.
    pub(super) is_secret: bool,
    /// What a mapping here must be.
    pub(super) mapping: Mapping<'a>,
    /// What a list here must be; none where there can be no list.
    pub(super) list: Option<List>,
    takes_any_text: bool,
}

/// What a mapping must be.
pub(super) enum Mapping<'a> {
    /// There can be none.
    Refused,
    /// One key, which says what kind of thing it is.
    Tagged(Vec<(&'a str, FormId)>),
    /// Keys, each with its own form.
    Keys(Keys<'a>),
}

/// The keys of a mapping.
pub(super) struct Keys<'a> {
    /// Its schema.
    pub(super) schema: &'a Json,
    /// Those that have a name.
    pub(super) named: BTreeMap<&'a str, FormId>,
    /// All others; none where there can be no others.
    pub(super) others: Option<FormId>,
    /// Those that cannot be left out.
    pub(super) required: Vec<&'a str>,
}

/// What a list must be.
pub(super) struct List {
    /// Its items; whatever they like where it is none.
    pub(super) items: Option<FormId>,
    /// The fewest items.
    pub(super) items_min: u64,
}

impl<'a> Forms<'a> {
    /// Of a schema, whose references are all to its own `$defs`.
    pub(super) fn of(schema: &'a Json) -> Self {
        let mut forms = Self { schema, all: Vec::new(), known: HashMap::new() };
        forms.add(schema);
        forms
    }

    /// That of the whole configuration.
    pub(super) fn root(&self) -> FormId {
        FormId(0)
    }

    /// What a place takes.
    pub(super) fn get(&self, id: FormId) -> Option<&Form<'a>> {
        self.all.get(id.0)
    }

    fn add(&mut self, schema: &'a Json) -> FormId {
        let address = ptr::from_ref(schema).addr();
        if let Some(id) = self.known.get(&address) {
            return *id;
        }
        let id = FormId(self.all.len());
        // Ahead of what is below it: a schema may contain itself.
        self.known.insert(address, id);
        let mut alternatives = Vec::new();
        leaf::alternatives(self.schema, schema, &mut alternatives);
        let is_secret = leaf::is_secret(self.schema, schema);
        let takes_any_text = leaf::take_any_text(&alternatives);
        self.all.push(Form { alternatives, is_secret, takes_any_text, mapping: Mapping::Refused, list: None });
        let (mapping, list) = (self.mapping(id), self.list(id));
        if let Some(form) = self.all.get_mut(id.0) {
            (form.mapping, form.list) = (mapping, list);
        }
        id
    }

    /// The alternatives of a form that take a value like this.
    fn taking(&self, id: FormId, value: &Value) -> Vec<&'a Json> {
        let alternatives = self.get(id).map(|form| form.alternatives.as_slice()).unwrap_or_default();
        alternatives.iter().copied().filter(|schema| leaf::takes(schema, value)).collect()
    }

    fn mapping(&mut self, id: FormId) -> Mapping<'a> {
        let fitting = self.taking(id, &Value::Map(Vec::new()));
        let Some(schema) = fitting.first() else { return Mapping::Refused };
        let tagged: Option<Vec<_>> = fitting
            .iter()
            .map(|schema| leaf::tag(schema).and_then(|tag| Some((tag, property(schema, tag)?))))
            .collect();
        if let Some(tagged) = tagged {
            return Mapping::Tagged(tagged.into_iter().map(|(tag, schema)| (tag, self.add(schema))).collect());
        }
        let properties = schema.get("properties").and_then(Json::as_object).into_iter().flatten();
        let named = properties.map(|(key, schema)| (key.as_str(), self.add(schema))).collect();
        let others = match schema.get("additionalProperties").unwrap_or(&ANYTHING) {
            Json::Bool(false) => None,
            others => Some(self.add(others)),
        };
        let required = schema.get("required").and_then(Json::as_array).into_iter().flatten();
        Mapping::Keys(Keys { schema, named, others, required: required.filter_map(Json::as_str).collect() })
    }

    fn list(&mut self, id: FormId) -> Option<List> {
        let schema = *self.taking(id, &Value::List(Vec::new())).first()?;
        let items_min = schema.get("minItems").and_then(Json::as_u64).unwrap_or(0);
        Some(List { items: schema.get("items").map(|items| self.add(items)), items_min })
    }
}

impl Form<'_> {
    /// Whether nothing more has to be asked of a scalar.
    pub(super) fn takes_plainly(&self, scalar: &Scalar) -> bool {
        scalar.meaning == Meaning::Text && self.takes_any_text
    }
}

fn property<'a>(schema: &'a Json, key: &str) -> Option<&'a Json> {
    schema.get("properties")?.get(key)
}
