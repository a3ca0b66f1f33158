//! The limits that a request is over, and where they are configured.

use super::{considered::place, explanation::Place};
use crate::{
    listener::head::HeadLimits,
    plan::{Forward, Plan, PlannedListener},
};
use serde::Serialize;
use std::fmt::Display;

/// A limit of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Limit {
    /// Its key: `listeners.public.limits.body`.
    pub key: String,
    /// What it allows.
    pub value: String,
    /// Where it is configured; nowhere where it is the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Place>,
}

impl Limit {
    fn new(plan: &Plan, path: &[&str], value: &impl Display) -> Self {
        let escaped = path.iter().map(|name| format!("/{}", name.replace('~', "~0").replace('/', "~1")));
        let pointer: String = escaped.collect();
        let at = plan.loaded.is_written(&pointer).then(|| place(plan, &pointer));
        Self { key: path.join("."), value: value.to_string(), at }
    }

    /// Of the listener, in `limits`: `head`, `headers` or `body`.
    pub(super) fn of_listener(plan: &Plan, listener: &str, name: &str) -> Option<Self> {
        let limits = &plan.loaded.config.listeners.get(listener)?.limits;
        let path = ["listeners", listener, "limits", name];
        Some(match name {
            "head" => Self::new(plan, &path, &limits.head),
            "headers" => Self::new(plan, &path, &limits.headers),
            _ => Self::new(plan, &path, &limits.body),
        })
    }

    /// What is spoken on the listener.
    pub(super) fn protocols(plan: &Plan, listener: &str) -> Option<Self> {
        let written = serde_json::to_value(&plan.loaded.config.listeners.get(listener)?.protocols).ok()?;
        let names: Vec<&str> = written.as_array()?.iter().filter_map(serde_json::Value::as_str).collect();
        Some(Self::new(plan, &["listeners", listener, "protocols"], &names.join(", ")))
    }

    /// How long the rest of a head is waited for.
    pub(super) fn of_head(plan: &Plan) -> Self {
        Self::new(plan, &["connections", "head_deadline"], &plan.loaded.config.connections.head_deadline)
    }

    /// How long the rest of a body is waited for that comes no more: by a filter or a handler that reads it whole, or
    /// by a forward meanwhile.
    pub(super) fn of_body(plan: &Plan, forward: Option<&Forward>) -> Self {
        let connections = &plan.loaded.config.connections;
        let idle = Self::new(plan, &["connections", "body_idle"], &connections.body_idle);
        let (whole, longest) = match forward {
            None => {
                let limit = Self::new(plan, &["connections", "body_deadline"], &connections.body_deadline);
                (Some(limit), connections.body_deadline)
            }
            Some(forward) => {
                let name = forward.upstream.name();
                let upstream = plan.loaded.config.upstreams.get(name).map(|upstream| upstream.timeouts.request);
                let limit = |most| Self::new(plan, &["upstreams", name, "timeouts", "request"], &most);
                (upstream.map(limit), upstream.unwrap_or(connections.body_deadline))
            }
        };
        match whole {
            Some(whole) if longest.get() < connections.body_idle.get() => whole,
            _ => idle,
        }
    }
}

/// Which of its listener's limits a head is over that is too large.
pub(super) fn of_head(plan: &Plan, listener: &PlannedListener, is_over: impl Fn(HeadLimits) -> bool) -> Option<Limit> {
    let is_long = is_over(HeadLimits { headers_max: usize::MAX, ..listener.head });
    Limit::of_listener(plan, &listener.name, if is_long { "head" } else { "headers" })
}
