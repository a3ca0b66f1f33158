//! `portcullis routes`.

use super::{fail, load, say, variable};
use crate::{
    plan::{self, Outside, Route},
    telemetry::metrics::Metrics,
};
use filters::{api::Clock, memory::SystemClock, session::Invalidations};
use std::{io, path::PathBuf, process::ExitCode, sync::Arc};

/// Whose routes to print.
#[derive(Debug, clap::Args)]
pub(super) struct RoutesArgs {
    /// The configuration.
    #[arg(default_value = "gateway.yaml")]
    config: PathBuf,
}

/// Prints one line a route: the order of trial, what it matches, its filters, its target.
pub(super) fn routes(args: &RoutesArgs) -> ExitCode {
    let loaded = match load(&args.config) {
        Ok(loaded) => loaded.with_headers_as_written(),
        Err(code) => return code,
    };
    let metrics = match Metrics::new() {
        Ok(metrics) => metrics,
        Err(error) => return fail(&error.to_string()),
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let invalidations = Arc::new(Invalidations::new(Arc::clone(&clock)));
    match plan::build(
        loaded,
        &Outside { clock, metrics: &metrics, invalidations: &invalidations, env: &variable },
        None,
    ) {
        Ok(plan) => {
            for (order, route) in plan.routes_in_order().into_iter().enumerate() {
                say(io::stdout(), &line(order + 1, route));
            }
            ExitCode::SUCCESS
        }
        Err(problem) => fail(&problem.to_string()),
    }
}

fn line(order: usize, route: &Route) -> String {
    let matcher = &route.matcher;
    let methods: Vec<&str> = matcher.methods.iter().map(http::Method::as_str).collect();
    let methods = if methods.is_empty() { "*".to_owned() } else { methods.join(",") };
    let host = &matcher.host;
    let listener = matcher.listener.as_deref().unwrap_or("*");
    let headers: String =
        matcher.headers.iter().map(|(name, value)| format!(" {name}={}", value.to_str().unwrap_or("…"))).collect();
    let filters: Vec<&str> = route.chain.names().collect();
    let (name, path, target) = (&route.name, matcher.path(), route.target_name());
    format!("{order:>3}  {name:<24} {listener} {methods} {host}{path}{headers}  [{}]  → {target}", filters.join(" → "))
}
