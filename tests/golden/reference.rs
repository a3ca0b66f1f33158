//! `gateway.yaml` is the whole reference, and editors get the schema that it names.

use portcullis::{cli, config};
use serde_json::Value as Json;
use std::{collections::BTreeSet, fs, path::Path};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap_or_default()
}

#[test]
fn the_reference_loads_without_a_problem_or_warning() {
    assert_eq!(super::said_in("", &read("gateway.yaml"), "gateway.yaml"), "");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("gateway.yaml");
    let loaded = config::load_without_secrets(&file, &|_| None).unwrap();
    assert_eq!(loaded.warnings.problems(), &[]);
}

#[test]
fn the_reference_has_every_key_of_the_schema() {
    let text = read("gateway.yaml");
    let yaml: Json = serde_yaml::from_str(&text).unwrap();
    let schema = config::schema();
    let (mut known, mut seen) = (BTreeSet::new(), BTreeSet::new());
    properties("", schema, &mut known);
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        properties(name, definition, &mut known);
    }
    walk(&yaml, schema, "", schema, &mut seen);
    // What cannot stand beside the rest, such as the other form of a secret, is there as a comment.
    let comments: String = text.lines().filter_map(|line| line.trim().strip_prefix('#')).collect();
    let is_missing = |(_, key): &&(String, String)| !comments.contains(&format!("{key}:"));
    let missing: Vec<_> = known.difference(&seen).filter(is_missing).collect();
    assert!(missing.is_empty(), "gateway.yaml lacks these keys of the schema: {missing:?}");
}

/// The keys that a definition has itself.
fn properties(name: &str, definition: &Json, known: &mut BTreeSet<(String, String)>) {
    for alternative in alternatives(definition) {
        for (key, _) in alternative["properties"].as_object().into_iter().flatten() {
            known.insert((name.to_owned(), key.clone()));
        }
    }
}

/// Notes the keys that a part of the reference has, by the name of the definition that they belong to.
fn walk(yaml: &Json, schema: &Json, name: &str, root: &Json, seen: &mut BTreeSet<(String, String)>) {
    if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/$defs/")) {
        return walk(yaml, &root["$defs"][name], name, root, seen);
    }
    for alternative in alternatives(schema).filter(|alternative| *alternative != schema) {
        walk(yaml, alternative, name, root, seen);
    }
    // A filter without configuration is only its name.
    if let Some(name_alone) = yaml.as_str().filter(|text| schema["properties"].get(text).is_some()) {
        seen.insert((name.to_owned(), name_alone.to_owned()));
    }
    for item in yaml.as_array().into_iter().flatten() {
        walk(item, &schema["items"], "", root, seen);
    }
    for (key, value) in yaml.as_object().into_iter().flatten() {
        if schema["properties"].get(key).is_some() {
            seen.insert((name.to_owned(), key.clone()));
            walk(value, &schema["properties"][key], "", root, seen);
        } else {
            walk(value, &schema["additionalProperties"], "", root, seen);
        }
    }
}

/// The alternatives that a schema lists, and itself.
fn alternatives(schema: &Json) -> impl Iterator<Item = &Json> {
    let lists = ["anyOf", "oneOf"].into_iter().filter_map(|key| schema[key].as_array()).flatten();
    lists.chain([schema])
}

#[test]
fn the_schema_beside_the_reference_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("ops/gateway.schema.json");
    if super::is_update() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, cli::schema::text()).unwrap();
    }
    let remedy = "the schema has changed: run `cargo run -- schema > ops/gateway.schema.json`";
    assert!(read("ops/gateway.schema.json") == cli::schema::text(), "{remedy}");
    assert!(read("gateway.yaml").starts_with("# yaml-language-server: $schema=./ops/gateway.schema.json\n"));
}

#[test]
fn the_running_configuration_is_shown_without_what_the_environment_holds() {
    let text = "
version: 1
listeners:
  public: { bind: \"127.0.0.1:${PORT}\" }
upstreams:
  backend: { endpoints: \"${NOWHERE:-http://127.0.0.1:8081}\" }
routes:
  - { name: all, match: { method: \"${METHOD:-GET}\" }, chain: { headers: { request: { set: { x-key: \"${PASSWORD}\" } } } }, forward: backend }
signing:
  keys: { main: { env: PORTCULLIS_SIGNING_KEY } }
  active: main
"
    .replace("endpoints: \"${NOWHERE:-http://127.0.0.1:8081}\"", "endpoints: [\"${NOWHERE:-http://127.0.0.1:8081}\"]");
    let loaded = config::parse(&text, "gateway.yaml", Path::new(""), &super::env).unwrap();
    let masked = loaded.masked();
    for shown in
        ["127.0.0.1:${PORT}", "${NOWHERE:-http://127.0.0.1:8081}", "${METHOD:-GET}", "env: PORTCULLIS_SIGNING_KEY"]
    {
        assert!(masked.contains(shown), "{shown} is not in\n{masked}");
    }
    for hidden in ["correct-horse", "PRIVATE KEY", "8080"] {
        assert!(!masked.contains(hidden), "{hidden} is in\n{masked}");
    }
}
