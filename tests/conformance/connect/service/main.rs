//! A gateway that answers `connectrpc.conformance.v1.ConformanceService` itself, instead of having an upstream do it:
//! between connectconformance and this service there is nothing but the gateway's own reading and writing.
//!
//! `conformance_service run CONFIGURATION` is `portcullis run CONFIGURATION` with the service behind every `rpc` route.

mod answers;
mod conversation;
mod incoming;
mod messages;
mod service;

use filters::memory::SystemClock;
use portcullis::{
    config::{self, Loaded},
    life::{self, Signals},
    plan::{self, Outside, Target},
    telemetry::metrics::Metrics,
};
use service::Service;
use std::{env, error::Error, path::Path, sync::Arc};

fn variable(name: &str) -> Option<String> {
    env::var(name).ok()
}

fn load(path: &str) -> Result<Loaded, String> {
    config::load(Path::new(path), &variable).map_err(|report| report.to_string())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [run, path] = arguments.as_slice() else { return Err("usage: conformance_service run CONFIGURATION".into()) };
    if run != "run" {
        return Err(format!("{run} is not known").into());
    }
    let mut signals = Signals::listen()?;
    let running = life::start(load(path)?, &variable).await?;
    let metrics = Metrics::new()?;
    let invalidations = &running.invalidations;
    let outside = Outside { clock: Arc::new(SystemClock::default()), metrics: &metrics, invalidations, env: &variable };
    let mut plan = plan::build(load(path)?, &outside, None)?;
    for route in plan.routes.iter_mut().filter_map(Arc::get_mut) {
        if let Target::Rpc(target) = &mut route.target
            && let Some(target) = Arc::get_mut(target)
        {
            target.callee = Arc::new(Service);
        }
    }
    // Nobody has been told where to call: the plan that calls the upstream has not been used.
    running.plan.store(Arc::new(plan));
    running.announce();
    life::run_until_told(&running, &mut signals, None).await;
    Ok(())
}
