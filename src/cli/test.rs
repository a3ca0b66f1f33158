//! `portcullis test`.

use super::{
    EXIT_USAGE,
    check::Format,
    fail,
    output::{complain, show, show_json},
    paint::Look,
    source::{self, CONFIG_VARIABLE, Secrets},
};
use crate::{
    config::Loaded,
    explain::suite::{self, SuiteFault, Tested},
    printable::escaped,
};
use std::{
    fmt::{self, Write as _},
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
    /// The configuration; - is standard input
    #[arg(value_name = "FILE", default_value = "gateway.yaml", env = CONFIG_VARIABLE)]
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
    let loaded = match source::load(&args.config, Secrets::Skipped, args.format) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    match tested(&args, &loaded).await {
        Ok(tested) if tested.is_empty() => {
            let which = args.only.map(|text| format!(" whose name has `{}`", escaped(&text))).unwrap_or_default();
            complain(Look::Plain, &format!("{} has no tests{which}: nothing was shown", loaded.file()));
            ExitCode::from(EXIT_USAGE)
        }
        Ok(tested) => {
            print(args.format, &tested);
            let has_failed = tested.iter().any(|tested| !tested.failures.is_empty());
            if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Err(SuiteFault::Rehearsal(fault)) => fail(&format!("portcullis test: {fault}")),
        Err(fault @ SuiteFault::Request { .. }) => {
            complain(Look::Plain, &format!("portcullis test: {fault}"));
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

fn print(format: Format, tested: &[Tested]) {
    match format {
        Format::Json => show_json(&serde_json::to_string_pretty(tested).unwrap_or_default()),
        // A String takes everything.
        Format::Text => show(Look::Tests, &text(tested).unwrap_or_default()),
    }
}

fn text(tested: &[Tested]) -> Result<String, fmt::Error> {
    let mut out = String::new();
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
    writeln!(out, "{count} test{} with {requests} requests: {passed} passed, {failed} failed", plural(count))?;
    Ok(out)
}
