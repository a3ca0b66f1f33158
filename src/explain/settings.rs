//! What of the configuration decides a refusal, where no filter does: limits, and what handlers are told.

use super::{considered::place, explanation::Place};
use crate::{
    config::source::WebSocket,
    listener::head::{HeadLimits, HeadRefusal},
    plan::{Forward, Plan, PlannedListener, Target},
    proxy::context::RequestContext,
};
use filters::api::Reason;
use serde::Serialize;
use std::fmt::Display;

/// A setting of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Its key: `listeners.public.limits.body`. A route is named.
    pub key: String,
    /// What it says.
    pub value: String,
    /// Where it is configured; nowhere where it is the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Place>,
}

impl Setting {
    fn new(plan: &Plan, path: &[&str], value: &impl Display) -> Self {
        Self::at(plan, path.join("."), path, value)
    }

    fn at(plan: &Plan, key: String, path: &[&str], value: &impl Display) -> Self {
        let escaped = path.iter().map(|name| format!("/{}", name.replace('~', "~0").replace('/', "~1")));
        let pointer: String = escaped.collect();
        let at = plan.loaded.is_written(&pointer).then(|| place(plan, &pointer));
        Self { key, value: value.to_string(), at }
    }

    /// Of the route at this place in the configuration.
    fn of_route(plan: &Plan, index: usize, path: &[&str], value: &impl Display) -> Option<Self> {
        let route = plan.loaded.config.routes.get(index)?;
        let key = format!("routes.{}.{}", route.name, path.join("."));
        let index = index.to_string();
        Some(Self::at(plan, key, &[&["routes", index.as_str()], path].concat(), value))
    }

    /// What of the target of a route refuses its request with this reason.
    pub(super) fn of_target(plan: &Plan, index: usize, ctx: &RequestContext, reason: &str) -> Option<Self> {
        let is = |known: Reason| reason == known.as_str();
        let written = plan.loaded.config.routes.get(index)?;
        match &ctx.route.as_ref()?.target {
            Target::Commands(target) if is(Reason::PayloadInvalid) => {
                let (commands, called) = (&target.commands.name, &ctx.facts.command.decoded()?.message_type);
                let call = plan.loaded.config.commands.get(commands)?.routes.get(called)?;
                Some(Self::new(plan, &["commands", commands, "routes", called], &call.path()))
            }
            Target::Commands(_) if is(Reason::NotServed) => Self::of_route(plan, index, &["events"], &"none"),
            Target::Rpc(_) if is(Reason::BodyInvalid) => {
                let file = written.rpc.as_ref()?.descriptors.display();
                Self::of_route(plan, index, &["rpc", "descriptors"], &file)
            }
            Target::WebSocket(_) if is(Reason::OriginForbidden) => {
                let origins = match written.websocket.as_ref()? {
                    WebSocket::Options(options) if !options.origins.is_empty() => options.origins.join(", "),
                    _ => "that of the host that is asked".to_owned(),
                };
                Self::of_route(plan, index, &["websocket", "origins"], &origins)
            }
            _ => None,
        }
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

/// Whether a head is over a limit of its listener.
pub(super) fn is_too_large(refusal: &HeadRefusal) -> bool {
    refusal.status == HeadRefusal::too_large("").status
}

/// Which of its listener's limits a head is over that is too large.
pub(super) fn of_head(
    plan: &Plan,
    listener: &PlannedListener,
    is_over: impl Fn(HeadLimits) -> bool,
) -> Option<Setting> {
    let is_long = is_over(HeadLimits { headers_max: usize::MAX, ..listener.head });
    Setting::of_listener(plan, &listener.name, if is_long { "head" } else { "headers" })
}
