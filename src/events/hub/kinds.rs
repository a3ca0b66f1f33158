//! How events of some kinds are handed on: the latest value only, or not too often.

use crate::plan::events::KindOptions;
use filters::body::json;
use serde_json::Value;
use std::{
    collections::{BTreeMap, HashMap, hash_map::RandomState},
    hash::{BuildHasher as _, Hash as _, Hasher as _},
    num::NonZeroU64,
    time::Duration,
};

/// The kinds that are handed on in their own way.
pub(super) struct Kinds {
    rules: HashMap<Box<str>, Rule>,
    /// Unknown outside, so that nobody can make payloads whose slots are the same.
    secret: RandomState,
}

struct Rule {
    coalesce: Option<Vec<Vec<String>>>,
    pace: Option<Pace>,
}

/// How one event is handed on.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Handling {
    /// Of two that wait with the same slot the older gives way.
    pub(super) slot: Option<NonZeroU64>,
    pub(super) pace: Option<Pace>,
}

/// How often events of one kind go out on a stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) kind: usize,
    pub(super) interval: Duration,
}

impl Kinds {
    pub(super) fn new(options: &BTreeMap<String, KindOptions>) -> Self {
        let rule = |(kind, (name, options)): (usize, (&String, &KindOptions))| {
            let pace = options.min_interval.map(|interval| Pace { kind, interval });
            (name.as_str().into(), Rule { coalesce: options.coalesce.clone(), pace })
        };
        Self { rules: options.iter().enumerate().map(rule).collect(), secret: RandomState::new() }
    }

    /// How an event of this kind is handed on. One whose payload has no scalar where its value is told from others
    /// gives way to none.
    pub(super) fn handling(&self, kind: &str, payload: &[u8]) -> Handling {
        let Some(rule) = self.rules.get(kind) else { return Handling::default() };
        let slot = rule.coalesce.as_ref().and_then(|fields| self.slot(kind, fields, payload));
        Handling { slot, pace: rule.pace }
    }

    fn slot(&self, kind: &str, fields: &[Vec<String>], payload: &[u8]) -> Option<NonZeroU64> {
        let mut hasher = self.secret.build_hasher();
        kind.hash(&mut hasher);
        if !fields.is_empty() {
            let payload = json::parse(payload).ok()?;
            for path in fields {
                let value = path.iter().try_fold(&payload, |value, name| value.get(name))?;
                match value {
                    Value::Null | Value::Array(_) | Value::Object(_) => return None,
                    scalar => scalar.hash(&mut hasher),
                }
            }
        }
        NonZeroU64::new(hasher.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_a_kind_and_the_values_that_tell_its_events_apart() {
        let path = |path: &str| path.split('.').map(str::to_owned).collect::<Vec<_>>();
        let options = |fields: &[&str]| KindOptions {
            coalesce: Some(fields.iter().map(|field| path(field)).collect()),
            min_interval: None,
        };
        let kinds = [("whole", options(&[])), ("match", options(&["id"])), ("seat", options(&["match.id", "seat"]))];
        let kinds = Kinds::new(&kinds.map(|(name, options)| (name.to_owned(), options)).into());
        let slot = |kind: &str, payload: &str| kinds.handling(kind, payload.as_bytes()).slot;
        let same = |a: (&str, &str), b: (&str, &str)| {
            assert!(slot(a.0, a.1).is_some() && slot(a.0, a.1) == slot(b.0, b.1), "{a:?} {b:?}");
        };
        same(("whole", "{}"), ("whole", "no JSON"));
        same(("match", r#"{"id":7,"x":1}"#), ("match", r#"{"x":2,"id":7}"#));
        same(("seat", r#"{"match":{"id":"a"},"seat":1}"#), ("seat", r#"{"seat":1,"match":{"id":"a","x":1}}"#));
        for (a, b) in [
            (("match", r#"{"id":7}"#), ("match", r#"{"id":8}"#)),
            (("match", r#"{"id":7}"#), ("match", r#"{"id":"7"}"#)),
            (("match", r#"{"id":7}"#), ("whole", r#"{"id":7}"#)),
            (("seat", r#"{"match":{"id":1},"seat":2}"#), ("seat", r#"{"match":{"id":2},"seat":1}"#)),
        ] {
            assert_ne!(slot(a.0, a.1), slot(b.0, b.1), "{a:?} {b:?}");
        }
        for none in ["", "{}", "[7]", r#"{"id":null}"#, r#"{"id":[7]}"#, r#"{"id":{}}"#, r#"{"id":7"#] {
            assert_eq!(slot("match", none), None, "{none}");
        }
        assert_eq!(slot("other", r#"{"id":7}"#), None);
    }
}
