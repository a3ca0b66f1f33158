//! Looks the device session up.
//!
//! It says whose the command is and with which key it must be signed; an ended session is refused here.
//! Commands of one session that arrive together share one lookup, so that a burst of one device is not a
//! burst on the backend. Beyond that every command asks, unless a cache is switched on in `sessions`.
//!
//! A session that the backend ends while the gateway runs is refused at once, whatever a lookup or a cache says,
//! for as long as anything signed by it stays fresh; and what is in flight for it is refused before its answer
//! is signed (see [`Invalidations`]).
//!
//! Where the lookup is out of reach, the command is refused with `SESSION_LOOKUP_UNAVAILABLE`; there is no
//! letting through, since without a key nothing can be verified.
//!
//! ```yaml
//! - session: devices
//! - session: { lookup: devices, on_fault: refuse }
//! ```

mod cache;
mod directory;
mod flight;
mod invalidations;
mod recent;

pub use cache::{CacheOptions, SessionCache};
pub use directory::{AnsweredFrom, Counts, Directory, LookedUp, Standing};
pub use invalidations::{Feed, Invalidations, Moment};

use crate::api::{
    BuildFault, Check, ConfigProblem, Configured, Exchange, Facts, Filter, Halt, LookupFault, Named, OnFault, Outcome,
    Parts, Reason, Reference, Refusal, Step, forms::Forms,
};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use std::sync::Arc;

/// Looks the device session up: the name of a lookup in `sessions`, or more.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Config {
    /// The name of a lookup in `sessions`.
    Lookup(String),
    /// A lookup, with options.
    Options(Options),
}

/// A lookup, with options.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The name of a lookup in `sessions`.
    pub lookup: String,
    /// What happens when the lookup is out of reach. Only `refuse` is possible.
    #[serde(default)]
    pub on_fault: OnFault,
}

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Forms::without_list("the name of a session lookup, or `lookup` in a map", Self::Lookup, Self::Options)
            .read(deserializer)
    }
}

impl Config {
    fn lookup(&self) -> &str {
        match self {
            Self::Lookup(lookup) | Self::Options(Options { lookup, .. }) => lookup,
        }
    }
}

impl Configured for Config {
    const NAME: &'static str = "session";
    const AFTER: &'static [&'static str] = &["envelope"];
    const ONCE: bool = true;

    fn references(&self) -> Vec<Reference> {
        let pointer = if matches!(self, Self::Lookup(_)) { "" } else { "/lookup" };
        vec![Reference { kind: Named::Sessions, name: self.lookup().to_owned(), pointer: pointer.to_owned() }]
    }

    fn problems(&self) -> Vec<ConfigProblem> {
        match self {
            Self::Options(Options { on_fault: OnFault::Pass, .. }) => vec![ConfigProblem {
                pointer: "/on_fault".to_owned(),
                what: "without the session there is no key, so nothing that follows could be verified".to_owned(),
                remedy: "write refuse, or leave it out".to_owned(),
            }],
            Self::Lookup(_) | Self::Options(_) => Vec::new(),
        }
    }

    fn build(&self, parts: &Parts) -> Result<Box<dyn Filter>, BuildFault> {
        let directory = parts.sessions.get(self.lookup()).ok_or_else(|| BuildFault {
            filter: Self::NAME,
            what: format!("there is no session lookup `{}`", self.lookup()),
        })?;
        Ok(Box::new(SessionFilter { directory: Arc::clone(directory) }))
    }
}

struct SessionFilter {
    directory: Arc<Directory>,
}

impl Filter for SessionFilter {
    fn name(&self) -> &'static str {
        Config::NAME
    }

    fn check<'f, 'x: 'f>(&'f self, exchange: &'f mut Exchange<'x>) -> Check<'f> {
        let Some(command) = exchange.facts.command.decoded() else {
            return Step::Ready(Err(Halt::misplaced(Config::NAME)));
        };
        let now = self.directory.now();
        if let Some(standing) = self.directory.known(&command.device_session_id, now) {
            return Step::Ready(settle(Ok(standing), exchange.facts));
        }
        let finding = self.directory.look_up(&command.device_session_id, now);
        Step::later(async move { settle(finding.await, exchange.facts) })
    }
}

fn settle(found: Result<Standing, LookupFault>, facts: &mut Facts) -> Outcome {
    match found {
        Ok(Standing::Active(session, as_of)) => {
            facts.session = Some(session);
            facts.session_as_of = as_of;
            Ok(())
        }
        Ok(Standing::Revoked) => Err(Refusal::new(Reason::SessionRevoked).into()),
        Ok(Standing::Unknown) => Err(Refusal::new(Reason::SessionUnknown).into()),
        Err(LookupFault(fault)) => Err(Halt::Faulted(Refusal::new(Reason::SessionLookupUnavailable).for_fault(fault))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::{CommandState, SessionRecord, SessionStatus},
        fakes::{Request, command, directory, parts, reason, session},
    };

    async fn check(
        found: Result<Option<Arc<SessionRecord>>, LookupFault>,
    ) -> (Option<Reason>, Option<Arc<SessionRecord>>) {
        let mut parts = parts();
        parts.sessions.insert("devices".to_owned(), directory(found));
        let filter = Config::Lookup("devices".to_owned()).build(&parts).unwrap();
        let mut request = Request::with_command(CommandState::Decoded(command().into()));
        let outcome = request.check(&*filter).await;
        (reason(outcome), request.facts.session.take())
    }

    #[tokio::test]
    async fn an_active_session_is_left_for_later_filters() {
        let record = Arc::new(session(SessionStatus::Active));
        assert_eq!(check(Ok(Some(Arc::clone(&record)))).await, (None, Some(record)));
    }

    #[tokio::test]
    async fn every_other_answer_refuses() {
        let revoked = Arc::new(session(SessionStatus::Revoked));
        for (found, reason) in [
            (Ok(None), Reason::SessionUnknown),
            (Ok(Some(revoked)), Reason::SessionRevoked),
            (Err(LookupFault::new("down", "it is down")), Reason::SessionLookupUnavailable),
        ] {
            assert_eq!(check(found).await, (Some(reason), None));
        }
    }

    #[test]
    fn both_forms_are_read() {
        for (yaml, pointer, problems) in [
            ("devices", "", 0),
            ("{ lookup: devices }", "/lookup", 0),
            ("{ lookup: devices, on_fault: pass }", "/lookup", 1),
        ] {
            let config: Config = serde_yaml::from_str(yaml).unwrap();
            let [reference] = config.references().try_into().unwrap();
            assert_eq!((reference.name.as_str(), reference.pointer.as_str()), ("devices", pointer), "{yaml}");
            assert_eq!(config.problems().len(), problems, "{yaml}");
            assert_eq!(config.build(&parts()).err().unwrap().what, "there is no session lookup `devices`");
        }
        for (yaml, problem) in
            [("{ lookup: d, ttl: 3s }", "unknown field `ttl`"), ("[a]", "expected the name of a session")]
        {
            let fault = serde_yaml::from_str::<Config>(yaml).unwrap_err().to_string();
            assert!(fault.contains(problem), "{fault}");
        }
    }
}
