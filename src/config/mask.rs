//! A configuration that may be shown.

use super::{Config, render::mask_userinfo};
use serde_json::Value as Json;

/// The configuration as YAML, with `variables` (JSON pointer, written text) as they were written.
pub(super) fn masked(config: &Config, variables: &[(String, String)]) -> String {
    serde_yaml::to_string(&shown(config, variables)).unwrap_or_default()
}

/// The same as a tree.
pub(super) fn shown(config: &Config, variables: &[(String, String)]) -> Json {
    let mut json = serde_json::to_value(config).unwrap_or_default();
    for (pointer, written) in variables {
        // A list that was written as one text has it as its only item.
        match find(&mut json, pointer) {
            Some(Json::Array(items)) => *items = vec![written.as_str().into()],
            Some(value) => *value = written.as_str().into(),
            None => {}
        }
    }
    tidy(&mut json);
    json
}

/// What a pointer into the file leads to, where a list may have been written as its only item.
fn find<'a>(json: &'a mut Json, pointer: &str) -> Option<&'a mut Json> {
    pointer.split('/').skip(1).try_fold(json, |json, segment| {
        let segment = segment.replace("~1", "/").replace("~0", "~");
        match json {
            Json::Array(items) => match segment.parse::<usize>() {
                Ok(index) => items.get_mut(index),
                Err(_) => items.first_mut()?.get_mut(&segment),
            },
            Json::Object(entries) => entries.get_mut(&segment),
            _ => None,
        }
    })
}

/// The configuration with values of headers as they were written: what of them came from the environment may be a secret,
/// and whoever tries a request is shown its headers.
pub(super) fn with_headers_as_written(config: Config, variables: &[(String, String)]) -> Config {
    let of_headers: Vec<_> = variables.iter().filter(|(pointer, _)| pointer.contains("/headers/")).collect();
    if of_headers.is_empty() {
        return config;
    }
    let mut json = serde_json::to_value(&config).unwrap_or_default();
    for (pointer, written) in of_headers {
        if let Some(value) = find(&mut json, pointer) {
            *value = written.as_str().into();
        }
    }
    serde_json::from_value(json).unwrap_or(config)
}

/// Leaves out what is not given, and masks passwords in URLs.
fn tidy(json: &mut Json) {
    match json {
        Json::String(text) => *text = mask_userinfo(text).into_owned(),
        Json::Array(items) => items.iter_mut().for_each(tidy),
        Json::Object(entries) => {
            entries.retain(|_, value| !value.is_null());
            entries.values_mut().for_each(tidy);
        }
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}
