//! Holds the command's timestamp against the clock.
//!
//! A signed command stays valid only for this window. That bounds how long a captured one is of use, and how
//! long `replay` must remember ids. `future` allows for client clocks that are ahead; a command from further
//! ahead could be held back and used long after.
//!
//! It can always decide.
//!
//! ```yaml
//! - freshness: { past: 60s, future: 30s }
//! ```

use crate::api::{
    BuildFault, Check, Clock, ConfigProblem, Configured, Exchange, Filter, Halt, Outcome, Parts, Reason, Refusal, Step,
    units::Duration,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time};

/// Holds the command's timestamp against the clock.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How old a command may be.
    pub past: Duration,
    /// How far ahead of the gateway's clock a command may be.
    pub future: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { past: Duration::from_secs(60), future: Duration::from_secs(30) }
    }
}

impl Config {
    /// How long one command can be fresh: it may arrive `future` early and still be taken `past` late.
    #[must_use]
    pub fn window(&self) -> time::Duration {
        self.past.get() + self.future.get()
    }
}

impl Configured for Config {
    const NAME: &'static str = "freshness";
    const AFTER: &'static [&'static str] = &["envelope", "session", "payload_hash", "signature"];
    const ONCE: bool = true;

    fn problems(&self) -> Vec<ConfigProblem> {
        if !self.past.get().is_zero() {
            return Vec::new();
        }
        let what = "no command arrives in the millisecond in which it is signed".to_owned();
        vec![ConfigProblem { pointer: "/past".to_owned(), what, remedy: "write a duration such as 60s".to_owned() }]
    }

    fn build(&self, parts: &Parts) -> Result<Box<dyn Filter>, BuildFault> {
        let millis = |duration: Duration| i128::try_from(duration.get().as_millis()).unwrap_or(i128::MAX);
        let (past_ms, future_ms) = (millis(self.past), millis(self.future));
        Ok(Box::new(Freshness { past_ms, future_ms, clock: Arc::clone(&parts.clock) }))
    }
}

struct Freshness {
    past_ms: i128,
    future_ms: i128,
    clock: Arc<dyn Clock>,
}

impl Filter for Freshness {
    fn name(&self) -> &'static str {
        Config::NAME
    }

    fn check<'f, 'x: 'f>(&'f self, exchange: &'f mut Exchange<'x>) -> Check<'f> {
        Step::Ready(self.judge(exchange))
    }
}

impl Freshness {
    fn judge(&self, exchange: &Exchange<'_>) -> Outcome {
        let command = exchange.facts.command.decoded().ok_or_else(|| Halt::misplaced(Config::NAME))?;
        let stale = |what: String| Err(Refusal::because(Reason::RequestStale, what).into());
        if command.timestamp_ms <= 0 {
            return stale("timestamp_ms must be the client's clock in Unix milliseconds".to_owned());
        }
        // Wider than i64, in which the difference of two extremes does not fit.
        let age_ms = i128::from(self.clock.unix_ms()) - i128::from(command.timestamp_ms);
        if age_ms > self.past_ms {
            return stale(format!("the timestamp is {age_ms} ms old, the most is {} ms", self.past_ms));
        }
        if -age_ms > self.future_ms {
            return stale(format!("the timestamp is {} ms ahead, the most is {} ms", -age_ms, self.future_ms));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::CommandState,
        fakes::{NOW_MS, Request, command, parts, reason},
    };
    use proto::edge::v1::ExecuteCommandRequest;

    #[test]
    fn the_window_is_closed_at_both_ends() {
        let filter = Config::default().build(&parts()).unwrap();
        for (timestamp_ms, is_fresh) in [
            (NOW_MS, true),
            (NOW_MS - 60_000, true),
            (NOW_MS - 60_001, false),
            (NOW_MS + 30_000, true),
            (NOW_MS + 30_001, false),
            (0, false),
            (-1, false),
            (1, false),
            (i64::MIN, false),
            (i64::MAX, false),
        ] {
            let command = ExecuteCommandRequest { timestamp_ms, ..command() };
            let refused = reason(Request::with_command(CommandState::Decoded(command.into())).check_now(&*filter));
            assert_eq!(refused, (!is_fresh).then_some(Reason::RequestStale), "{timestamp_ms}");
        }
    }

    #[test]
    fn a_window_without_past_is_a_problem() {
        let config = Config { past: Duration::from_secs(0), ..Config::default() };
        assert_eq!(config.problems()[0].pointer, "/past");
        assert!(Config::default().problems().is_empty());
    }
}
