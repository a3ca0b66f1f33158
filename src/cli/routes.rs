//! `portcullis routes`.

use super::{
    check::Format,
    fail,
    output::{show, show_json},
    paint::Look,
    source::{self, CONFIG_VARIABLE, Secrets},
    variable,
};
use crate::{
    plan::{self, Outside, Route},
    printable::escaped,
    telemetry::metrics::Metrics,
};
use filters::{api::Clock, memory::SystemClock, session::Invalidations};
use serde::Serialize;
use std::{collections::BTreeMap, path::PathBuf, process::ExitCode, sync::Arc};

/// What stands in a column where a route takes everything.
const ANY: &str = "*";

/// Whose routes to print.
#[derive(Debug, clap::Args)]
pub(super) struct RoutesArgs {
    /// The configuration; - is standard input
    #[arg(value_name = "FILE", default_value = "gateway.yaml", env = CONFIG_VARIABLE)]
    config: PathBuf,
    /// How they are printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// A route as it is printed. What is not there takes everything.
#[derive(Serialize)]
struct Printed<'a> {
    /// Its place in the order of trial, from 1.
    order: usize,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    listener: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    methods: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    path: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<&'a str, &'a str>,
    target: String,
    /// The filters of its chain in their order.
    chain: Vec<&'a str>,
}

/// Prints one line a route: the order of trial, what it matches, its target, its filters.
pub(super) fn routes(args: &RoutesArgs) -> ExitCode {
    let loaded = match source::load(&args.config, Secrets::Read, args.format) {
        Ok(loaded) => loaded.with_headers_as_written(),
        Err(code) => return code,
    };
    let metrics = match Metrics::new() {
        Ok(metrics) => metrics,
        Err(error) => return fail(&error.to_string()),
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let invalidations = Arc::new(Invalidations::new(Arc::clone(&clock)));
    let outside = Outside { clock, metrics: &metrics, invalidations: &invalidations, env: &variable };
    let plan = match plan::build(loaded, &outside, None) {
        Ok(plan) => plan,
        Err(problem) => return fail(&problem.to_string()),
    };
    let in_order = plan.routes_in_order().into_iter().enumerate();
    let routes: Vec<Printed<'_>> = in_order.map(|(order, route)| Printed::of(order + 1, route)).collect();
    match args.format {
        Format::Json => show_json(&serde_json::to_string_pretty(&routes).unwrap_or_default()),
        Format::Text => show(Look::Table, &table(&routes)),
    }
    ExitCode::SUCCESS
}

impl<'a> Printed<'a> {
    fn of(order: usize, route: &'a Route) -> Self {
        let matcher = &route.matcher;
        let header =
            |(name, value): &'a (http::HeaderName, http::HeaderValue)| (name.as_str(), value.to_str().unwrap_or("…"));
        Self {
            order,
            name: &route.name,
            listener: matcher.listener.as_deref(),
            methods: matcher.methods.iter().map(http::Method::as_str).collect(),
            host: Some(matcher.host.to_string()).filter(|host| host != ANY),
            path: matcher.path(),
            headers: matcher.headers.iter().map(header).collect(),
            target: route.target_name(),
            chain: route.chain.names().collect(),
        }
    }

    fn cells(&self) -> [String; 8] {
        let or_any = |text: String| if text.is_empty() { ANY.to_owned() } else { escaped(&text).into_owned() };
        let headers: String = self.headers.iter().map(|(name, value)| format!(" {name}={value}")).collect();
        let chain = if self.chain.is_empty() { "-".to_owned() } else { self.chain.join(" → ") };
        [
            self.order.to_string(),
            self.name.to_owned(),
            or_any(self.listener.unwrap_or_default().to_owned()),
            or_any(self.methods.join(",")),
            or_any(self.host.clone().unwrap_or_default()),
            or_any(format!("{}{headers}", self.path)),
            self.target.clone(),
            chain,
        ]
    }
}

fn table(routes: &[Printed<'_>]) -> String {
    let head = ["#", "NAME", "LISTENER", "METHODS", "HOST", "PATH", "TARGET", "CHAIN"].map(str::to_owned);
    let rows: Vec<[String; 8]> = std::iter::once(head).chain(routes.iter().map(Printed::cells)).collect();
    let mut widths = [0; 8];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |row: &[String; 8]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
