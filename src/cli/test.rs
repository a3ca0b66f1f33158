//! `portcullis test`.

use super::{EXIT_USAGE, check::Format, fail, say, variable};
use crate::{
    config::{self, Loaded},
    explain::{
        escaped,
        suite::{self, SuiteFault, Tested},
    },
};
use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

/// Runs the tests of a configuration: each on a gateway of its own that sends nothing, with a clock that is set, stores in
/// memory and backends that answer what the test says.
///
/// Exit codes: 0 where all have passed, 1 where one has failed, 2 where the configuration has problems or there is no test
/// to run.
#[derive(Debug, clap::Args)]
pub struct TestArgs {
    /// The configuration
    #[arg(default_value = "gateway.yaml", env = "PORTCULLIS_CONFIG")]
    config: PathBuf,
    /// Run only those whose name has this in it
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// How it is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Runs the subcommand.
pub async fn run(args: TestArgs) -> ExitCode {
    let loaded = match config::load_without_secrets(&args.config, &variable) {
        Ok(loaded) => loaded,
        Err(report) => {
            say(io::stderr(), &report.to_string());
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match tested(&args, &loaded).await {
        Ok(tested) if tested.is_empty() => {
            let which = args.only.map(|text| format!(" whose name has `{}`", escaped(&text))).unwrap_or_default();
            say(io::stderr(), &format!("{} has no tests{which}: nothing was shown", args.config.display()));
            ExitCode::from(EXIT_USAGE)
        }
        Ok(tested) => {
            if print(&args, &tested, &mut io::stdout().lock()).is_err() {
                return ExitCode::FAILURE;
            }
            let has_failed = tested.iter().any(|tested| !tested.failures.is_empty());
            if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Err(SuiteFault::Rehearsal(fault)) => fail(&format!("portcullis test: {fault}")),
        Err(fault @ SuiteFault::Request { .. }) => {
            say(io::stderr(), &format!("portcullis test: {fault}"));
            ExitCode::from(EXIT_USAGE)
        }
    }
}

async fn tested(args: &TestArgs, loaded: &Loaded) -> Result<Vec<Tested>, SuiteFault> {
    let mut tested = Vec::new();
    for (index, test) in loaded.config.tests.iter().enumerate() {
        if args.only.as_ref().is_none_or(|text| test.name.contains(text.as_str())) {
            tested.push(suite::run(loaded, index, test).await?);
        }
    }
    Ok(tested)
}

fn print(args: &TestArgs, tested: &[Tested], out: &mut dyn Write) -> io::Result<()> {
    if args.format == Format::Json {
        return writeln!(out, "{}", serde_json::to_string_pretty(tested).map_err(io::Error::other)?);
    }
    for tested in tested {
        let mark = if tested.failures.is_empty() { "ok  " } else { "FAIL" };
        writeln!(out, "{mark}  {}  {}", tested.at, escaped(&tested.name))?;
        for failure in &tested.failures {
            writeln!(out, "      {}: {}", failure.at, failure.what)?;
            writeln!(out, "        expected  {}", failure.expected)?;
            writeln!(out, "        came      {}", failure.came)?;
        }
    }
    let failed = tested.iter().filter(|tested| !tested.failures.is_empty()).count();
    let requests: u64 = tested.iter().map(|tested| u64::from(tested.requests)).sum();
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    let (count, passed) = (tested.len(), tested.len() - failed);
    writeln!(out, "{count} test{} with {requests} requests: {passed} passed, {failed} failed", plural(count))
}
